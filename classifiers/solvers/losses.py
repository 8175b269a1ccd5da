"""Losses of linear scores: their value and gradient on a block of rows."""

from __future__ import annotations

from typing import Any

from sklearn.externals.array_api_compat import array_namespace


def logistic(
    X: Any, codes: Any, coef: Any, intercept: Any, shift: Any, columns: Any
) -> tuple[Any, Any, Any]:
    """Multinomial logistic loss: minus the log of the softmax at the true class.

    Args:
        X: (rows, dimensions), float32 or float64, as all that follows.
        codes: The true classes, int (rows,).
        coef: (dimensions, columns).
        intercept: (columns,).
        shift: (dimensions,) to subtract of the features, or empty.
        columns: The class of each column, int.

    Returns:
        The loss, and its gradients by `coef` (transposed) and by `intercept`, summed over rows.
    """
    xp = array_namespace(X)
    X = X - shift if shift.shape[0] else X
    scores = X @ coef + intercept
    truth = codes[:, None] == columns[None, :]
    scores = scores - xp.max(scores, axis=1, keepdims=True)
    exponentials = xp.exp(scores)
    total = xp.sum(exponentials, axis=1, keepdims=True)
    loss = xp.sum(xp.log(total)) - xp.sum(xp.where(truth, scores, 0.0))
    residual = exponentials / total - xp.astype(truth, X.dtype)
    return loss, residual.T @ X, xp.sum(residual, axis=0)


def squared_hinge(
    X: Any, codes: Any, coef: Any, intercept: Any, shift: Any, columns: Any
) -> tuple[Any, Any, Any]:
    """Squared hinge loss of each column's class against the rest, as `logistic`."""
    xp = array_namespace(X)
    X = X - shift if shift.shape[0] else X
    sign = xp.where(codes[:, None] == columns[None, :], 1.0, -1.0)
    sign = xp.astype(sign, X.dtype, copy=False)
    slack = 1 - sign * (X @ coef + intercept)
    slack = xp.where(slack > 0, slack, 0.0)
    residual = -2 * sign * slack
    return xp.sum(slack * slack), residual.T @ X, xp.sum(residual, axis=0)

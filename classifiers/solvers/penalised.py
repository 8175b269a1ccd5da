"""Linear classifiers that minimise C times a loss plus half the squared weights."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.exceptions import ConvergenceWarning

from classifiers.solvers.lbfgs import Pair, Solution, minimise
from classifiers.solvers.moments import Moments, moments_and_gram
from classifiers.solvers.rows import Array, Block, Rows

TOLERANCE = 1e-7
"""Of the estimated gap to the minimum, relative to it. The true one was up to 64 times as large on
awkward problems, so that the objective ends well within 1e-4 of its minimum."""
PATH_TOLERANCE = 3e-6
"""The same along a path, which is to choose: within about 1e-4 of the minimum on real features."""
EVALUATIONS = 1000
WIDTH = 16
"""To so many columns narrower weights are filled up, which BLAS multiplies faster."""


class Penalised:
    """The minimum of C * (a loss summed over all rows) + |W|^2 / 2, for one C after another.

    W are weights of the standardised features; the intercept is not penalised. L-BFGS,
    preconditioned by the Cholesky factor of C * curvature * Z'Z + I, Z the standardised features:
    the Hessian, if the loss had this curvature in every row. One Gram matrix serves every C, and
    each begins where the nearest before it ended, with what that found out about the curvature.

    Attributes:
        moments: Of the rows.
    """

    def __init__(
        self,
        rows: Rows,
        classes: int,
        loss: Block,
        columns: Array,
        curvature: float,
        *,
        tolerance: float,
        separate: bool = False,
    ) -> None:
        """Reads the rows once.

        Args:
            rows: The features and their codes.
            classes: How many classes there are.
            loss: A function of `classifiers.solvers.losses`.
            columns: The class code of each column of weights, int.
            curvature: A guess at the loss' second derivative by a score, in the mean over rows.
            tolerance: `TOLERANCE` or `PATH_TOLERANCE`.
            separate: Whether a column's loss depends on no other column.
        """
        self.moments, self._gram = moments_and_gram(rows, classes)
        self._rows, self._loss, self._columns = rows, loss, columns
        self._curvature, self._tolerance, self._separate = curvature, tolerance, separate
        self._found: dict[float, Solution] = {}

    def solve(self, C: float) -> tuple[Array, Array, Solution]:
        """Minimises for one C.

        Args:
            C: The weight of the loss.

        Returns:
            The weights of the standardised features, float64 (classes, dimensions), the intercepts,
            float64 (classes,), and how the minimisation ended.
        """
        start, pairs = self._start(C)
        with self._rows.one_thread():
            solution = minimise(
                _objective(self._rows, self.moments, self._loss, self._columns, C),
                _preconditioner(self._gram, self.moments.n, C * self._curvature),
                start,
                tolerance=self._tolerance,
                evaluations=EVALUATIONS,
                pairs=pairs,
                separate=self._separate,
            )
        if not solution.converged:
            warnings.warn(
                f"not converged after reading the features {solution.evaluations} times: about "
                f"{solution.gap / abs(solution.value):.0e} above the minimum, relative to it",
                ConvergenceWarning,
                stacklevel=3,
            )
        self._found[C] = solution
        x = solution.x
        if len(x) == 1:
            x = np.concatenate([-x / 2, x / 2])
        return x[:, :-1], x[:, -1], solution

    def _start(self, C: float) -> tuple[Array, list[Pair]]:
        """Where to begin, and what is known of the curvature, from the nearest C before.

        A change of the gradient is C times the loss' plus the step itself, by the penalty: so what
        it would have been at another C is known without reading a row.
        """
        if not self._found:
            return np.zeros((len(self._columns), self._rows.dimensions + 1)), []
        nearest = min(self._found, key=lambda found: abs(math.log(found / C)))
        found = self._found[nearest]
        pairs = []
        for step, change in found.pairs:
            penalty = step.copy()
            penalty[:, -1] = 0
            pairs.append((step, (change - penalty) * (C / nearest) + penalty))
        return found.x, pairs


def _objective(
    rows: Rows, moments: Moments, loss: Block, columns: Array, C: float
) -> Callable[[Array], tuple[float, Array]]:
    count, width = len(columns), max(len(columns), WIDTH)
    offset = moments.offset
    # A column that belongs to no class and never scores adds to neither loss.
    filled = np.full(width, -1, dtype=np.int64)
    filled[:count] = columns
    coef = np.zeros((rows.dimensions, width))
    intercept = np.full(width, -1e30)

    def evaluate(x: Array) -> tuple[float, Array]:
        W, b = x[:, :-1], x[:, -1]
        raw = W * moments.inverse_scale
        coef[:, :count] = raw.T
        intercept[:count] = b - raw @ offset
        lost, by_coef, by_intercept = rows.sum(loss, coef, intercept, moments.shift, filled)
        by_coef, by_intercept = by_coef[:count], by_intercept[:count]
        gradient = np.empty_like(x)
        gradient[:, :-1] = by_coef - by_intercept[:, None] * offset
        gradient[:, :-1] *= C * moments.inverse_scale
        gradient[:, :-1] += W
        gradient[:, -1] = C * by_intercept
        return C * float(lost) + float((W * W).sum()) / 2, gradient

    return evaluate


def _preconditioner(gram: Array, n: int, weight: float) -> Callable[[Array], Array]:
    matrix = weight * gram
    # The second term is above what float32 left uncertain of the Gram matrix.
    matrix.flat[:: len(matrix) + 1] += 1 + 1e-7 * matrix.trace()
    factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)

    def apply(gradient: Array) -> Array:
        result = np.empty_like(gradient)
        result[:, :-1] = cho_solve(factor, gradient[:, :-1].T, check_finite=False).T
        result[:, -1] = gradient[:, -1] / (weight * n)
        return result

    return apply

"""Squared-hinge machines over a kernel matrix: Newton's method in the primal.

Chapelle, O. (2007): Training a support vector machine in the primal. Neural Computation 19,
1155-1178, section 3, with Newton's equations solved by conjugate gradients, preconditioned as in
Rudi, A., Carratino, L. and Rosasco, L. (2017): FALKON: an optimal large scale kernel method. NIPS
2017, section 3: the landmarks' own kernel stands for that of all rows, so that the preconditioner
costs nothing that grows with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.linalg.lapack import slauum

BLOCK = 512
"""Rows of the kernel matrix that are multiplied at once: what a processor's cache holds."""

NEWTON_STEPS, CONJUGATE_STEPS, LINE_STEPS = 50, 50, 10

TOLERANCE = 1e-5
"""What Newton's next step would gain at most, relative to the objective."""

FORCING = 0.4
"""How much of a Newton equation's residual conjugate gradients leave."""

JITTER = 1e-7
"""float32's rounding, added to the landmarks' kernel, which duplicates make singular."""

CURVATURE = 0.05
"""The share of rows within the margin that the preconditioner reckons with."""


def gaussian(left: np.ndarray, right: np.ndarray, gamma: float) -> np.ndarray:
    """exp(-gamma |x - y|^2) for each row x of one array and y of the other.

    Args:
        left: (n, dimensions), float32 or float64.
        right: (m, dimensions), of the same dtype.
        gamma: Above 0.

    Returns:
        (n, m) in the arrays' dtype.
    """
    kernel: np.ndarray = left @ right.T
    own = np.einsum("ij,ij->i", right, right)
    for start in range(0, len(left), BLOCK):
        rows = left[start : start + BLOCK]
        block = kernel[start : start + BLOCK]
        block *= 2
        block -= np.einsum("ij,ij->i", rows, rows)[:, None]
        block -= own
        np.minimum(block, 0, out=block)
        block *= gamma
        np.exp(block, out=block)
    return kernel


def minimise(
    kernel: np.ndarray, between: np.ndarray, signs: np.ndarray, penalties: Sequence[float]
) -> Iterator[tuple[np.ndarray, bool]]:
    """Minimises a'(M + 1)a / 2 + C sum max(0, 1 - y (K + 1)a)^2, for each class by itself.

    The 1 that both kernels are raised by is an intercept, the sum of a. Work is done on b = L'a,
    with L L' = M + 1, where the penalty is b'b / 2 and so never singular.

    Args:
        kernel: K, of all rows with the landmarks, float32 (n, m).
        between: M, of the landmarks among themselves, float64 (m, m); overwritten.
        signs: y, float32 (n, classes): 1 in the class and -1 elsewhere.
        penalties: Each C in turn. Each starts from the solution of the last, so let them grow.

    Yields:
        a, float32 (m, classes), and whether it is within `TOLERANCE` of the least.
    """
    n, m = kernel.shape
    between += 1
    between.flat[:: m + 1] += JITTER * m
    lower = cholesky(between.T, lower=True, overwrite_a=True, check_finite=False)
    # The lower triangle of L'L, which is all that its factorisation reads.
    square, _ = slauum(lower.astype(np.float32), lower=1, overwrite_c=1)
    weights = np.zeros((m, signs.shape[1]))
    scores = np.zeros(signs.shape)

    for C in penalties:
        inner = 2 * C * CURVATURE * n / m * square
        inner.flat[:: m + 1] += 1
        inner = cholesky(inner, lower=True, overwrite_a=True, check_finite=False)
        converged = False
        for _ in range(NEWTON_STEPS):
            slack = np.maximum(1 - signs * scores, 0)
            pull = (signs * slack).astype(np.float32)
            gradient = weights - 2 * C * _solve(lower, kernel.T @ pull + pull.sum(axis=0))
            curvature = np.where(slack > 0, np.float32(2 * C), np.float32(0))
            step, gain, change = _newton(kernel, lower, inner, curvature, gradient)
            objective = (weights**2).sum(axis=0) / 2 + C * (slack**2).sum(axis=0)
            length = _line_search(weights, step, signs * scores, signs * change, C)
            weights += length * step
            scores += length * change
            converged = bool((gain <= TOLERANCE * objective).all())
            if converged:
                break
        yield _solve(lower, weights, transposed=True).astype(np.float32), converged


def _solve(lower: np.ndarray, right: np.ndarray, *, transposed: bool = False) -> np.ndarray:
    """Divides by a lower triangular matrix, or by its transpose, in its dtype."""
    right = right.astype(lower.dtype)
    solved: np.ndarray = solve_triangular(
        lower, right, trans=int(transposed), lower=True, check_finite=False
    )
    return solved


def _newton(
    kernel: np.ndarray,
    lower: np.ndarray,
    inner: np.ndarray,
    curvature: np.ndarray,
    gradient: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solves Newton's equation by preconditioned conjugate gradients, all classes side by side.

    Args:
        kernel: float32 (n, m).
        lower: L, float64 (m, m).
        inner: The Cholesky factor of the preconditioner, float32 (m, m).
        curvature: The loss' second derivative at each row, float32 (n, classes).
        gradient: (m, classes).

    Returns:
        The step (m, classes), what it gains by the quadratic model (classes,), and what it changes
        at each row (n, classes).
    """

    def precondition(residual: np.ndarray) -> np.ndarray:
        return _solve(inner, _solve(inner, residual), transposed=True).astype(np.float64)

    step, change = np.zeros(gradient.shape), np.zeros(curvature.shape)
    residual = -gradient
    way = towards = precondition(residual)
    size = (residual * towards).sum(axis=0)
    least = FORCING**2 * size
    gain = np.zeros(len(size))
    for _ in range(CONJUGATE_STEPS):
        seen, back = _there_and_back(kernel, _solve(lower, way, transposed=True), curvature)
        bent = way + _solve(lower, back)
        length = _ratio(size, (way * bent).sum(axis=0))
        step += length * way
        change += length * seen
        gain += length * size / 2
        residual = residual - length * bent
        towards = precondition(residual)
        before, size = size, (residual * towards).sum(axis=0)
        if (size <= least).all():
            break
        way = towards + _ratio(size, before) * way
    return step, gain, change


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Above / below, and 0 where a class has come to rest."""
    ratio: np.ndarray = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return ratio


def _line_search(
    weights: np.ndarray, step: np.ndarray, margins: np.ndarray, change: np.ndarray, C: float
) -> np.ndarray:
    """How far along the step each class' objective, piecewise quadratic there, is least.

    Newton's method on its derivative; compare Keerthi, S. and DeCoste, D. (2005): A modified finite
    Newton method for fast solution of large scale linear SVMs. JMLR 6, section 4.
    """
    slope, bend = (weights * step).sum(axis=0), (step**2).sum(axis=0)
    length = np.ones(len(slope))
    for _ in range(LINE_STEPS):
        slack = np.maximum(1 - margins - length * change, 0)
        first = slope + length * bend - 2 * C * (change * slack).sum(axis=0)
        second = bend + 2 * C * (change**2 * (slack > 0)).sum(axis=0)
        length -= _ratio(first, second)
    return length


def _there_and_back(
    kernel: np.ndarray, way: np.ndarray, curvature: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(K + 1) way at each row, and (K + 1)' times that, weighted; K is read once."""
    way = way.astype(np.float32)
    seen = np.empty(curvature.shape, np.float32)
    back = np.zeros(way.shape, np.float32)
    for start in range(0, len(kernel), BLOCK):
        rows = slice(start, start + BLOCK)
        block = kernel[rows]
        seen[rows] = block @ way
        seen[rows] += way.sum(axis=0)
        weighted = curvature[rows] * seen[rows]
        back += block.T @ weighted
        back += weighted.sum(axis=0)
    return seen, back

"""Limited-memory BFGS with a preconditioner."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from classifiers.solvers.rows import Array

MEMORY = 40
PAIRS_BYTES = 2**28
"""What the remembered pairs may take, of which there are then fewer."""
SUFFICIENT = 1e-4
ROUNDING = 1e-7
"""Of the objective, relative: what float32 leaves uncertain, and no step is refused for."""
HALVINGS = 30

STALLED = 10
"""After so many steps in a row that do not get below what float32 leaves uncertain, it ends."""
ENOUGH = 30
"""How many times the tolerance the gap may then be to count as converged."""


Pair = tuple[Array, Array]


@dataclass(frozen=True)
class Solution:
    """Where a minimisation ended.

    Attributes:
        x: The point.
        value: The objective there.
        gap: By how much that is above the minimum, at most, as estimated.
        evaluations: How often the objective was evaluated.
        converged: Whether the gap is within the tolerance, or within 30 times of it where
            rounding stood in the way.
        pairs: The last steps, each with the change of the gradient over it.
    """

    x: Array
    value: float
    gap: float
    evaluations: int
    converged: bool
    pairs: Sequence[Pair]


def minimise(
    objective: Callable[[Array], tuple[float, Array]],
    precondition: Callable[[Array], Array],
    start: Array,
    *,
    tolerance: float,
    evaluations: int,
    pairs: Sequence[Pair] = (),
    separate: bool = False,
) -> Solution:
    """Minimises a smooth and strictly convex function.

    L-BFGS by the two-loop recursion (Nocedal and Wright, Numerical Optimization, 2nd ed.,
    algorithm 7.4) whose first matrix is the preconditioner, scaled by the last step as
    in their equation 7.20. Steps are halved, or less by interpolation, until the function has
    decreased enough (Armijo); in a strictly convex one every step then has positive curvature.

    It ends when half the square of the gradient's norm in the inverse Hessian's approximation,
    which is the gap to the minimum of the quadratic model, is below `tolerance` times the value; or
    when rounding lets the value fall no further.

    Args:
        objective: From a point to the value and the gradient.
        precondition: From a gradient to the inverse of an approximate Hessian times it.
        start: Where to begin.
        tolerance: Relative to the objective's value.
        evaluations: How often the objective may be evaluated.
        pairs: Steps with changes of the gradient that are known of the function beforehand, or of
            one much like it.
        separate: Whether the function is a sum of functions of one row of the point each: the
            curvature of each is then approximated by itself, which is nearer to the truth.
    """
    x, (value, gradient) = start, objective(start)
    known = _Curvature(x, precondition, separate)
    count, lowest, stalled = 1, value, 0
    for step, change in pairs:
        known.add(step, change)
    while True:
        direction = -known.solve(gradient)
        slope = float((gradient * direction).sum())
        gap = -slope / 2
        close = gap <= ENOUGH * tolerance * abs(value)
        ended = Solution(x, value, gap, count, close, known.pairs())
        if gap <= tolerance * abs(value) or stalled == STALLED:
            return ended
        length, accepted = 1.0, False
        for _ in range(HALVINGS):
            if count >= evaluations:
                break
            step = length * direction
            new, new_gradient = objective(x + step)
            count += 1
            if new <= value + SUFFICIENT * length * slope + ROUNDING * abs(value):
                accepted = True
                break
            # The minimum of the parabola through what is known, within bounds.
            best = -slope * length**2 / (2 * (new - value - length * slope))
            length *= min(max(0.1, best / length), 0.5)
        if not accepted:
            return replace(ended, evaluations=count)
        known.add(step, new_gradient - gradient)
        x, value, gradient = x + step, new, new_gradient
        stalled = stalled + 1 if value >= lowest - ROUNDING * abs(value) else 0
        lowest = min(lowest, value)


class _Curvature:
    """What the last steps say of the inverse Hessian: of the whole point, or of each row of it."""

    def __init__(self, x: Array, precondition: Callable[[Array], Array], separate: bool) -> None:
        self._precondition = precondition
        self._axis = 1 if separate else None
        length = min(MEMORY, max(5, PAIRS_BYTES // (2 * x.nbytes)))
        self._kept: deque[tuple[Array, Array, Array]] = deque(maxlen=length)
        self._scale: Array = np.ones(1)

    def pairs(self) -> list[Pair]:
        """The steps that are kept, with their changes of the gradient."""
        return [(step, change) for step, change, _ in self._kept]

    def add(self, step: Array, change: Array) -> None:
        """Keeps a pair; what shows no curvature says nothing."""
        curvature = self._dot(step, change)
        curved = curvature > 0
        if not curved.any():
            return
        inverse = np.where(curved, 1 / np.where(curved, curvature, 1), 0)
        self._kept.append((step, change, inverse))
        size = self._dot(change, self._precondition(change))
        self._scale = np.where(curved, curvature / np.where(curved, size, 1), self._scale)

    def solve(self, gradient: Array) -> Array:
        """The approximate inverse Hessian times the gradient."""
        q, weights = gradient.copy(), []
        for step, change, inverse in reversed(self._kept):
            weight = self._dot(step, q) * inverse
            weights.append(weight)
            q -= weight * change
        r: Array = self._scale * self._precondition(q)
        for (step, change, inverse), weight in zip(self._kept, reversed(weights), strict=True):
            r += (weight - self._dot(change, r) * inverse) * step
        return r

    def _dot(self, one: Array, other: Array) -> Array:
        """Without BLAS, whose threads wait for each other longer than this takes."""
        product: Array = (one * other).sum(axis=self._axis, keepdims=True)
        return product

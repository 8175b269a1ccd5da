"""Linear support vector machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from classifiers.heads.linear import LinearHead, held_scores, positive, two_sided
from classifiers.solvers.losses import squared_hinge
from classifiers.solvers.penalised import PATH_TOLERANCE, TOLERANCE, Penalised
from classifiers.solvers.rows import Array


def make(*, C: float, seed: int) -> LinearSVMClassifier:
    """A linear SVM; its solution is unique, so the seed decides nothing."""
    return LinearSVMClassifier(C=C)


def path(
    candidates: Sequence[Mapping[str, Any]], X: Any, y: Array, held: Any, *, seed: int
) -> Iterator[Array]:
    """The decision values of held-out rows for one `C` after the other, as of `logistic.path`."""
    head = LinearSVMClassifier()
    along = head._path(X, y, PATH_TOLERANCE)
    for settings in candidates:
        W, b, _ = along.solve(positive("C", settings["C"]))
        yield two_sided(held_scores(held, along.moments, W, b))


class LinearSVMClassifier(LinearHead):
    """One linear SVM a class against the rest, squared hinge loss, l2 penalty.

    Minimises, for every class, C times the squared hinge loss summed over the rows plus half the
    squared weights of the standardised features, and their sum over the classes to a relative 1e-5
    or better: scikit-learn's LinearSVC behind a StandardScaler, but for the intercept, which is not
    penalised.

    Attributes:
        n_iter_: How often the features were read.
        converged_: Whether the objective's minimum was reached; a ConvergenceWarning says so too.
    """

    def __init__(self, C: float = 1.0) -> None:
        """Keeps the setting: the smaller `C`, the stronger the penalty."""
        self.C = C

    def fit(self, X: Any, y: Array) -> Self:
        """Fits on features (n, dimensions) and labels (n,)."""
        along = self._path(X, y)
        W, b, solution = along.solve(positive("C", self.C))
        self.n_iter_, self.converged_ = solution.evaluations, solution.converged
        return self._fold(along.moments, W, b)

    def _path(self, X: Any, y: Array, tolerance: float = TOLERANCE) -> Penalised:
        rows = self._rows(X, y)
        classes = len(self.classes_)
        columns = np.array([1]) if classes == 2 else np.arange(classes)
        return Penalised(
            rows, classes, squared_hinge, columns, 2.0, tolerance=tolerance, separate=True
        )

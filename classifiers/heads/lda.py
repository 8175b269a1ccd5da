"""Linear discriminant analysis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from scipy.linalg import eigh

from classifiers.heads.linear import LinearHead, held_scores, softmax
from classifiers.solvers.moments import Moments, moments_and_gram
from classifiers.solvers.rows import Array

RANK = 1e-6
"""Relative to the largest; what is below it of an eigenvalue is float32's rounding."""


def make(*, shrinkage: float, seed: int) -> LDAClassifier:
    """LDA; nothing in it is random."""
    return LDAClassifier(shrinkage=shrinkage)


def path(
    candidates: Sequence[Mapping[str, Any]], X: Any, y: Array, held: Any, *, seed: int
) -> Iterator[Array]:
    """The probabilities of held-out rows for every `shrinkage`, from one eigendecomposition."""
    head = LDAClassifier()
    known, gram = moments_and_gram(head._rows(X, y), len(head.classes_))
    discriminants = Discriminants(known, gram)
    for settings in candidates:
        W, b = discriminants.at(settings["shrinkage"])
        yield softmax(held_scores(held, known, W, b))


class LDAClassifier(LinearHead):
    """Gaussian classes that share one covariance, shrunk towards a multiple of the identity.

    What scikit-learn's LinearDiscriminantAnalysis(solver="lsqr") behind a StandardScaler fits.
    """

    def __init__(self, shrinkage: float = 0.1) -> None:
        """Keeps the setting: 0 is the covariance as it is found, 1 the multiple of the identity."""
        self.shrinkage = shrinkage

    def fit(self, X: Any, y: Array) -> Self:
        """Fits on features (n, dimensions) and labels (n,)."""
        known, gram = moments_and_gram(self._rows(X, y), len(self.classes_))
        return self._fold(known, *Discriminants(known, gram).at(self.shrinkage))

    def predict_proba(self, X: Any) -> Array:
        """The probability of each of `classes_`, float32 (n, classes)."""
        return softmax(self._scores(X))


class Discriminants:
    """The discriminant functions for any shrinkage, from one eigendecomposition.

    The within-class covariance S is shrunk to (1 - s) S + s trace(S) / d I (Friedman 1989,
    Regularized discriminant analysis, Journal of the American Statistical Association 84, equation
    18), which has the eigenvectors of S whatever s is; the functions are those of Hastie,
    Tibshirani and Friedman, The Elements of Statistical Learning, 2nd ed., equation 4.10.
    """

    def __init__(self, known: Moments, gram: Array) -> None:
        """Decomposes the within-class covariance."""
        self._means = known.class_sums / known.counts[:, None]
        within = (gram - (self._means.T * known.counts) @ self._means) / known.n
        values, self._vectors = eigh(within, overwrite_a=True, check_finite=False, driver="evd")
        self._values = np.maximum(values, 0)
        self._turned = self._means @ self._vectors
        self._priors = known.counts / known.n

    def at(self, shrinkage: float) -> tuple[Array, Array]:
        """The weights of the standardised features, (classes, dimensions), and the intercepts.

        Raises:
            ValueError: The shrinkage is not between 0 and 1.
        """
        if not 0 <= shrinkage <= 1:
            raise ValueError(f"shrinkage must be between 0 and 1, and it is {shrinkage!r}")
        values = (1 - shrinkage) * self._values + shrinkage * self._values.mean()
        # A direction in which nothing varies within any class is left out, as by a pseudo-inverse.
        inverse = np.where(values > RANK * values.max(), 1 / np.where(values > 0, values, 1), 0)
        W = (self._turned * inverse) @ self._vectors.T
        return W, np.log(self._priors) - (W * self._means).sum(axis=1) / 2

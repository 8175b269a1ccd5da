"""Ridge regression on the classes coded as -1 and 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

from classifiers.heads.linear import LinearHead, held_scores, positive, two_sided
from classifiers.solvers.moments import Moments, moments_and_gram
from classifiers.solvers.rows import Array


def make(*, alpha: float, seed: int) -> RidgeClassifier:
    """Ridge regression; its solution is unique, so the seed decides nothing."""
    return RidgeClassifier(alpha=alpha)


def path(
    candidates: Sequence[Mapping[str, Any]], X: Any, y: Array, held: Any, *, seed: int
) -> Iterator[Array]:
    """The decision values of held-out rows for every `alpha`, from one eigendecomposition.

    With Z'Z = V diag(s) V' the weights are V diag(1 / (s + alpha)) V'Z'Y (Hastie, Tibshirani and
    Friedman, The Elements of Statistical Learning, 2nd ed., section 3.4.1).
    """
    head = RidgeClassifier()
    known, gram = moments_and_gram(head._rows(X, y), len(head.classes_))
    targets, b = _targets(known)
    alphas = [positive("alpha", settings["alpha"]) for settings in candidates]
    if len(alphas) == 1:
        # The eigenvectors cost more than ten Cholesky factors.
        yield two_sided(held_scores(held, known, _solved(gram, targets, alphas[0]), b))
        return
    values, vectors = eigh(gram, overwrite_a=True, check_finite=False, driver="evd")
    values = np.maximum(values, 0)
    turned = targets @ vectors
    for alpha in alphas:
        W = (turned / (values + alpha)) @ vectors.T
        yield two_sided(held_scores(held, known, W, b))


class RidgeClassifier(LinearHead):
    """Least squares on -1 and 1 with an l2 penalty on the weights of the standardised features.

    What scikit-learn's RidgeClassifier behind a StandardScaler fits, by the normal equations.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        """Keeps the setting: the larger `alpha`, the stronger the penalty."""
        self.alpha = alpha

    def fit(self, X: Any, y: Array) -> Self:
        """Fits on features (n, dimensions) and labels (n,)."""
        alpha = positive("alpha", self.alpha)
        known, gram = moments_and_gram(self._rows(X, y), len(self.classes_))
        targets, b = _targets(known)
        return self._fold(known, _solved(gram, targets, alpha), b)


def _solved(gram: Array, targets: Array, alpha: float) -> Array:
    """The weights for one penalty, (classes, dimensions); uses up the Gram matrix."""
    gram.flat[:: len(gram) + 1] += alpha
    factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    weights: Array = cho_solve(factor, targets.T, check_finite=False).T
    return weights


def _targets(known: Moments) -> tuple[Array, Array]:
    """The features' products with the targets, (classes, dimensions), and the targets' means.

    A row's target is 1 at its class and -1 at the others; the standardised features sum to zero, so
    the -1 drop out. Of two classes only the second has a target, halved here between both.
    """
    products, means = 2 * known.class_sums, 2 * known.counts / known.n - 1
    return (products / 2, means / 2) if len(means) == 2 else (products, means)

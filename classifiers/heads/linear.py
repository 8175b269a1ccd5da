"""What all linear heads are: one product of the features, after which the highest score wins."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from classifiers.solvers.moments import Moments
from classifiers.solvers.rows import Array, Rows, in_memory


class LinearHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A linear classifier on features as they come, the standardisation folded in.

    Features are a numpy array, a dask array, or an array on a device (JAX, PyTorch); labels
    are of numpy. With two classes the rows of `coef_` are each other's negative, and the decision
    value is their difference.

    Attributes:
        classes_: The labels seen in training, sorted.
        coef_: float64 (classes, dimensions), for raw features.
        intercept_: float64 (classes,).
        shift_: What is subtracted of the features before the product, and taken into account after
            it, where features lie so far from zero that float32 would lose digits; float32
            (dimensions,), or empty.
    """

    def decision_function(self, X: Any) -> Array:
        """The score of each class, float32 (n, classes); of two classes, one value a row."""
        found = self._scores(X)
        return found[:, 1] - found[:, 0] if len(self.classes_) == 2 else found

    def predict(self, X: Any) -> Array:
        """The label of the highest score of each row, (n,)."""
        best = self._scores(X).argmax(axis=1)
        found: Array = self.classes_[best]
        return found

    def _scores(self, X: Any) -> Array:
        check_is_fitted(self, "coef_")
        if in_memory(X):
            X = validate_data(self, X, dtype=np.float32, reset=False)
        return scores(X, self.coef_, self.intercept_, self.shift_)

    def _rows(self, X: Any, y: Any) -> Rows:
        """Checks features and labels, and remembers the labels."""
        if in_memory(X):
            X, y = validate_data(self, X, y, dtype=np.float32)
        else:
            # Nothing is read here: a value that is not finite shows in the first sums.
            check_consistent_length(X, y)
            y = column_or_1d(np.asarray(y))
            self.n_features_in_ = int(X.shape[1])
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes; there is 1 class"
            )
        return Rows(X, codes)

    def _fold(self, moments: Moments, W: Array, b: Array) -> Self:
        """Keeps weights for standardised features as weights for raw ones."""
        self.coef_, self.intercept_ = moments.raw(W, b)
        self.shift_ = moments.shift
        return self


def scores(X: Any, coef: Array, intercept: Array, shift: Array) -> Array:
    """The product with weights for raw features, float32 (n, classes)."""
    at_shift = intercept + coef @ shift if len(shift) else intercept
    codes = np.zeros(len(X), dtype=np.int64)
    return Rows(X, codes).stack(_product, coef.T, at_shift, shift)


def held_scores(held: Any, moments: Moments, W: Array, b: Array) -> Array:
    """The scores of rows that were not fitted on, by weights for standardised features."""
    return scores(held, *moments.raw(W, b), moments.shift)


def two_sided(scores: Array) -> Array:
    """Decision values with a column a class, of two classes as well: minus and plus the one."""
    if scores.shape[1] != 2:
        return scores
    decision = scores[:, 1] - scores[:, 0]
    return np.column_stack([-decision, decision])


def softmax(scores: Array) -> Array:
    """Probabilities of scores, row by row."""
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Array = exponentials / exponentials.sum(axis=1, keepdims=True)
    return found


def positive(name: str, value: float) -> float:
    """A setting that must be a positive number.

    Raises:
        ValueError: It is not.
    """
    if not 0 < value < np.inf:
        raise ValueError(f"{name} must be a positive number, and it is {value!r}")
    return value


def _product(X: Any, codes: Any, coef: Any, intercept: Any, shift: Any) -> tuple[Any]:
    return ((X - shift if shift.shape[0] else X) @ coef + intercept,)

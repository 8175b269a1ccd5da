"""What stands between the features that are read and a head: a projection, and views as rows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if

from classifiers.heads import scores_of
from classifiers.projection import Projection, principal_components
from classifiers.spec import Choice


def as_rows(X: Any) -> Any:
    """Features (n, views, dimensions) as rows (n * views, dimensions); others as they are."""
    if X.ndim == 2:
        return X
    n, views, dimensions = X.shape
    if isinstance(X, np.ndarray):
        return X.reshape(n * views, dimensions)
    flat = X.map_blocks(as_rows, dtype=X.dtype, drop_axis=2, chunks=_flat_chunks(X))
    return flat


def _flat_chunks(X: Any) -> Any:
    views, dimensions = X.shape[1:]
    return (tuple(size * views for size in X.chunks[0]), (dimensions,))


def labels_of_rows(y: np.ndarray, X: Any) -> np.ndarray:
    """The label of each row of `as_rows(X)`."""
    return y if X.ndim == 2 else np.repeat(y, X.shape[1])


def scores_of_images(scores: np.ndarray, X: Any) -> np.ndarray:
    """The scores of the rows of `as_rows(X)` as those of images: the mean over views."""
    if X.ndim == 2:
        return scores
    each = scores.reshape(X.shape[0], X.shape[1], *scores.shape[1:])
    mean: np.ndarray = each.mean(axis=1, dtype=np.float64).astype(scores.dtype)
    return mean


def projection_of(choice: Choice, X: Any) -> Projection | None:
    """The projection that a choice wants, by rows (n, dimensions)."""
    if not choice.projects:
        return None
    return principal_components(X, choice.pca, whiten=choice.whiten)


def _inner_has(method: str) -> Any:
    return available_if(lambda self: hasattr(self.head, method))


class PreparedHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A head behind a projection that is fitted on the same rows, and on each view as a row.

    Features are (n, dimensions), or (n, views, dimensions), of which every view is a row to the
    head and an image's scores are the mean over its views.

    Args:
        head: The head.
        choice: Of the projection.

    Attributes:
        classes_: Those of the head.
        projection_: What the features go through first, if anything.
    """

    def __init__(self, head: BaseEstimator, choice: Choice) -> None:
        """Keeps both."""
        self.head = head
        self.choice = choice

    def fit(self, X: Any, y: np.ndarray, **how: Any) -> Self:
        """Fits the projection, then the head."""
        self.projection_ = projection_of(self.choice, as_rows(X))
        self.head.fit(self._rows(X), labels_of_rows(y, X), **how)
        return self

    @property
    def classes_(self) -> np.ndarray:
        """The labels seen in training."""
        classes: np.ndarray = self.head.classes_
        return classes

    @_inner_has("predict_proba")  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, (n, classes)."""
        return scores_of_images(self.head.predict_proba(self._rows(X)), X)

    @_inner_has("decision_function")  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> np.ndarray:
        """The decision value of each class, (n, classes), or of two classes (n,)."""
        return scores_of_images(self.head.decision_function(self._rows(X)), X)

    def predict(self, X: Any) -> np.ndarray:
        """The label of the highest score, (n,)."""
        if X.ndim == 2:
            labels: np.ndarray = self.head.predict(self._rows(X))
            return labels
        labels = self.classes_[scores_of(self, X).argmax(axis=1)]
        return labels

    def _rows(self, X: Any) -> Any:
        rows = as_rows(X)
        return rows if self.projection_ is None else self.projection_(rows)

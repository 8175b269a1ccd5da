"""The k nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.errors import UserError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

METRICS = ("cosine", "euclidean")


def make(*, k: int, metric: str, seed: int) -> Pipeline:
    """A vote of the `k` training images nearest by brute force; nothing in it is random.

    On rows of length one the Euclidean distance orders as the cosine does. scikit-learn computes it
    in blocks, so memory stays bounded.

    Raises:
        UserError: The metric is unknown.
    """
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler

    if metric not in METRICS:
        raise UserError(f"head knn: no metric {metric!r}; allowed: {', '.join(METRICS)}")
    neighbours = KNeighborsClassifier(n_neighbors=k, algorithm="brute", metric="euclidean")
    if metric == "euclidean":
        return make_pipeline(StandardScaler(), neighbours)
    return make_pipeline(StandardScaler(), Normalizer(), neighbours)

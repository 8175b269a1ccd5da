"""The k nearest neighbours, by brute force in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_info, threadpool_limits

from classifiers.standardise import standardiser
from features.errors import UserError

METRICS = ("cosine", "euclidean")

QUERIES, ROWS = 512, 2048
"""A block of products is 4 MB, whatever the number of images; each thread holds one."""

SAMPLE = 512
"""Of how many rows the k-th nearest tells, in the first block, which rows are worth a look."""


def make(*, k: int, metric: str, seed: int) -> KnnClassifier:
    """A vote of the `k` training images nearest; nothing in it is random.

    Raises:
        UserError: The metric is unknown.
    """
    if metric not in METRICS:
        raise UserError(f"head knn: no metric {metric!r}; allowed: {', '.join(METRICS)}")
    return KnnClassifier(k, metric)


class KnnClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The vote of the k training rows nearest to a row, each with the same weight.

    The features are standardised; the cosine is taken of what results. Distances are computed in
    float32. Of training rows at one distance the earlier is nearer, and of classes with as many
    votes the first in `classes_` is predicted.

    Attributes:
        classes_: The labels seen in training, sorted.
        scaler_: The standardisation.
        rows_: The training rows as `nearest` wants them, float32 (n, features + 1).
        targets_: The place of each row's label in `classes_`, int64 (n,).
    """

    def __init__(self, k: int = 5, metric: str = "cosine") -> None:
        """Keeps the settings as they come, as scikit-learn wants it."""
        self.k = k
        self.metric = metric

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Remembers features (n, features) and labels (n,).

        Raises:
            ValueError: There are fewer rows than neighbours to ask, or a value is not finite.
        """
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        if not 1 <= self.k <= len(X):
            raise ValueError(f"k={self.k} neighbours of n_samples={len(X)} training rows")
        if self.metric not in METRICS:
            raise ValueError(f"metric={self.metric!r}; allowed: {', '.join(METRICS)}")
        self.classes_, self.targets_ = np.unique(y, return_inverse=True)
        self.scaler_ = standardiser(X)
        self.rows_ = _training_rows(self.scaler_.transform(X), self.metric)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """The share of the votes for each of `classes_`, float32 (n, classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        found = nearest(_queries(self.scaler_.transform(X), self.metric), self.rows_, self.k)
        return _votes(self.targets_[found], len(self.classes_))

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The label with most votes for each row, (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: np.ndarray = self.classes_[best]
        return labels


def path(
    candidates: Sequence[Mapping[str, Any]],
    X: np.ndarray,
    y: np.ndarray,
    held: np.ndarray,
    *,
    seed: int,
) -> Iterator[np.ndarray]:
    """Scores held rows by every candidate, with one pass of distances for each metric.

    The neighbours of the largest k hold those of every smaller one.

    Args:
        candidates: Settings of `make`.
        X: float32 (n, features).
        y: Labels (n,).
        held: float32 (m, features).
        seed: Nothing is drawn.

    Yields:
        The share of the votes, float32 (m, classes), as `predict_proba` gives it.
    """
    found: dict[str, np.ndarray] = {}
    for settings in candidates:
        make(**settings, seed=seed)
        metric = settings["metric"]
        if metric not in found:
            most = max(c["k"] for c in candidates if c["metric"] == metric)
            head = KnnClassifier(most, metric).fit(X, y)
            queries = _queries(head.scaler_.transform(held), metric)
            found[metric] = head.targets_[nearest(queries, head.rows_, most)]
        yield _votes(found[metric][:, : settings["k"]], len(np.unique(y)))


def _training_rows(values: np.ndarray, metric: str) -> np.ndarray:
    """Rows whose product with a query's row orders as the distance does: the `nearest` of both.

    For the Euclidean distance (x, 1) times (-2 y, y'y), which is the square of the distance less
    x'x; for the cosine x times -y / |y|.
    """
    squares = np.einsum("ij,ij->i", values, values)[:, None]
    if metric == "euclidean":
        return np.hstack([-2 * values, squares])
    lengths = np.maximum(np.sqrt(squares), np.finfo(np.float32).tiny)
    rows: np.ndarray = -values / lengths
    return rows


def _queries(values: np.ndarray, metric: str) -> np.ndarray:
    """The other side of `_training_rows`; a query's own length orders nothing."""
    if metric == "euclidean":
        return np.hstack([values, np.ones((len(values), 1), np.float32)])
    return values


def nearest(queries: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """The rows whose product with a query is least.

    Blocks of queries meet blocks of rows in matrix products. Only what lies below a query's k-th
    least product so far is looked at again; after the first block that is little. Each thread has
    blocks of queries of its own, so that looking is shared too.

    Args:
        queries: float32 (m, dimensions).
        rows: float32 (n, dimensions).
        k: How many to find, at most n.

    Returns:
        int64 (m, k): the rows' places, the least product first, of equal ones the first row.
    """
    blocks = [queries[start : start + QUERIES] for start in range(0, len(queries), QUERIES)]
    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(max(pools, default=1)) as threads:
        found = list(threads.map(lambda block: _nearest(block, rows, k), blocks))
    return np.concatenate(found)


def _nearest(queries: np.ndarray, rows: np.ndarray, k: int) -> np.ndarray:
    """The nearest of one block of queries."""
    keys = np.full((len(queries), k), np.inf, np.float32)
    places = np.zeros((len(queries), k), np.int64)
    memory = np.empty((len(queries), min(ROWS, len(rows))), np.float32)
    for first in range(0, len(rows), ROWS):
        block = rows[first : first + ROWS]
        products = np.matmul(queries, block.T, out=memory[:, : len(block)])
        sample = products[:, : max(k, SAMPLE)]
        if first == 0 and k <= sample.shape[1]:
            low = products <= np.partition(sample, k - 1, axis=1)[:, k - 1 : k]
        else:
            low = products < keys[:, -1:]
        keys, places = _merge(keys, places, products, low, first)
    return places


def _merge(
    keys: np.ndarray, places: np.ndarray, products: np.ndarray, low: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k least of those found so far and of the products marked as low, per query.

    Sorting is stable and the rows come in order, so that equal ones keep it.
    """
    k = keys.shape[1]
    query, column = np.divmod(np.flatnonzero(low), low.shape[1])
    counts = np.bincount(query, minlength=len(keys))
    if not len(query):
        return keys, places
    slot = k + np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    every = np.full((len(keys), k + counts.max()), np.inf, np.float32)
    where = np.zeros(every.shape, np.int64)
    every[:, :k], where[:, :k] = keys, places
    every[query, slot], where[query, slot] = products[query, column], first + column
    order = np.argsort(every, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(every, order, 1), np.take_along_axis(where, order, 1)


def _votes(neighbours: np.ndarray, classes: int) -> np.ndarray:
    """The share of each class among neighbours, (m, k) classes, as float32 (m, classes)."""
    m, k = neighbours.shape
    cells = (neighbours + classes * np.arange(m)[:, None]).ravel()
    counts = np.bincount(cells, minlength=m * classes).reshape(m, classes)
    return (counts / np.float32(k)).astype(np.float32)

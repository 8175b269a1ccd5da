"""The nearest class mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.externals.array_api_compat import array_namespace

from classifiers.heads.linear import LinearHead, held_scores, two_sided
from classifiers.solvers.moments import Moments, moments
from classifiers.solvers.rows import Array, Rows

METRICS = ("euclidean", "cosine")


def make(*, metric: str, seed: int) -> NearestMeanClassifier:
    """The nearest class mean; nothing in it is random."""
    return NearestMeanClassifier(metric=_known(metric))


def path(
    candidates: Sequence[Mapping[str, Any]], X: Any, y: Array, held: Any, *, seed: int
) -> Iterator[Array]:
    """The decision values of held-out rows for every `metric`, standardised once."""
    head = NearestMeanClassifier()
    rows = head._rows(X, y)
    known = moments(rows, len(head.classes_))
    for settings in candidates:
        yield two_sided(held_scores(held, known, *_weights(rows, known, settings["metric"])))


class NearestMeanClassifier(LinearHead):
    """The class whose mean is the nearest to the standardised features.

    By `euclidean` distance |z - m|, or by the `cosine` between z and the mean direction of the
    class' rows (as SimpleShot, Wang et al. 2019, arXiv:1911.04623, with z standardised). Both
    order the classes by a linear function, which is the decision value: m'z - |m|^2 / 2, or the
    cosine times |z|.
    """

    def __init__(self, metric: str = "euclidean") -> None:
        """Keeps the setting."""
        self.metric = metric

    def fit(self, X: Any, y: Array) -> Self:
        """Fits on features (n, dimensions) and labels (n,)."""
        rows = self._rows(X, y)
        known = moments(rows, len(self.classes_))
        return self._fold(known, *_weights(rows, known, self.metric))


def _known(metric: str) -> str:
    if metric not in METRICS:
        raise ValueError(f"no metric {metric!r}; allowed: {', '.join(METRICS)}")
    return metric


def _weights(rows: Rows, known: Moments, metric: str) -> tuple[Array, Array]:
    """The weights of the standardised features, (classes, dimensions), and the intercepts."""
    if _known(metric) == "euclidean":
        means = known.class_sums / known.counts[:, None]
        return means, -(means**2).sum(axis=1) / 2
    shift = known.shift if len(known.shift) else np.zeros(rows.dimensions, dtype=np.float32)
    (sums,) = rows.sum(
        _directions,
        np.arange(len(known.counts)),
        shift,
        known.mean - shift,
        known.inverse_scale,
    )
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return sums / np.where(lengths > 0, lengths, 1), np.zeros(len(sums))


def _directions(X: Any, codes: Any, classes: Any, shift: Any, offset: Any, scale: Any) -> Any:
    """The sum of each class' standardised rows, each brought to length one."""
    xp = array_namespace(X)
    Z = ((X - shift) - offset) * scale
    lengths = xp.sqrt(xp.sum(Z * Z, axis=1, keepdims=True))
    Z = Z / xp.where(lengths > 0, lengths, 1.0)
    member = xp.astype(codes[:, None] == classes[None, :], Z.dtype)
    return (member.T @ Z,)

"""Means, scales and the Gram matrix of the standardised features, in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.externals.array_api_compat import array_namespace

from classifiers.solvers.rows import Array, Rows, to_numpy

GRAM_ROWS = 4096
"""Of a block: enough that adding up its Gram matrix costs little against computing it."""

SHIFT_ROWS = 1024

ROUNDING = 1e-12
"""Of a variance, relative to the square that it is what is left of."""

FAR = 32.0
"""How many deviations a mean may be from zero before its distance costs digits."""


@dataclass(frozen=True)
class Moments:
    """How the features are standardised, and what they are like class by class.

    Attributes:
        n: How many rows.
        mean: float64 (dimensions,).
        inverse_scale: One over the standard deviation, float64 (dimensions,); 0 of a constant
            column, which so decides nothing.
        counts: float64 (classes,), rows of each class.
        class_sums: The sum of the standardised features over the rows of each class, float64
            (classes, dimensions).
        shift: What to subtract of the features before they are multiplied, float32 (dimensions,);
            empty where their means are near enough to zero.
    """

    n: int
    mean: Array
    inverse_scale: Array
    counts: Array
    class_sums: Array
    shift: Array

    @property
    def offset(self) -> Array:
        """The mean after the shift, float64 (dimensions,)."""
        return self.mean - self.shift if len(self.shift) else self.mean

    def raw(self, W: Array, b: Array) -> tuple[Array, Array]:
        """Folds the standardisation into weights, so that they take the features as they come.

        Args:
            W: float64 (classes, dimensions), of the standardised features.
            b: float64 (classes,).

        Returns:
            Weights and intercepts for raw features, of the same shapes.
        """
        coef = W * self.inverse_scale
        return coef, b - coef @ self.mean


def moments(rows: Rows, classes: int) -> Moments:
    """Reads the features once.

    Products are of float32 (of float64 where that costs nothing), about a shift near the mean, and
    summed as float64. The mean of m of n rows is within sqrt(n / m) deviations of the mean of all
    (Samuelson 1968, How deviant can you be?, Journal of the American Statistical Association 63),
    so that little cancels when the variance is taken from the sums, wherever the features lie.

    Args:
        rows: The features and their codes.
        classes: How many classes there are.

    Raises:
        ValueError: A value is not finite, or too large to be squared.
    """
    shift = _near_mean(rows)
    counts, class_sums, squares = rows.sum(_squares, np.arange(classes), shift)
    return _moments(shift, counts, class_sums, squares)


def moments_and_gram(rows: Rows, classes: int) -> tuple[Moments, Array]:
    """The same, and the Gram matrix of the standardised features, as well from one reading.

    Returns:
        The moments, and the sum over the rows of z z', z standardised, float64 (dimensions,
        dimensions).
    """
    shift = _near_mean(rows)
    counts, class_sums, gram = rows.sum(_products, np.arange(classes), shift, rows=GRAM_ROWS)
    found = _moments(shift, counts, class_sums, gram.diagonal())
    offset = found.mean - shift
    gram -= found.n * np.outer(offset, offset)
    gram *= found.inverse_scale
    gram *= found.inverse_scale[:, None]
    return found, gram


def _moments(shift: Array, counts: Array, class_sums: Array, squares: Array) -> Moments:
    """From sums over the shifted features."""
    if not np.isfinite(squares.sum()):
        raise ValueError("Input X contains NaN, infinity or a value too large to be squared.")
    n = int(counts.sum())
    offset = class_sums.sum(axis=0) / n
    variance = squares / n - offset**2
    # What is left of rounding is no variance.
    varies = variance > ROUNDING * offset**2
    inverse = np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1)), 0)
    mean = shift + offset
    far = bool(np.any(np.abs(mean) * inverse > FAR))
    return Moments(
        n,
        mean,
        inverse,
        counts,
        (class_sums - counts[:, None] * offset) * inverse,
        shift if far else shift[:0],
    )


def _near_mean(rows: Rows) -> Array:
    """The mean of the first rows, float32 (dimensions,); exactly the value of a constant column."""
    few = rows.X[:SHIFT_ROWS]
    first = Rows(few.compute() if rows.lazy else few, rows.codes[:SHIFT_ROWS])
    origin = to_numpy(first.X[0]).astype(np.float32)
    (total,) = first.sum(_distances, origin)
    near: Array = (origin + total / first.n).astype(np.float32)
    return near


def _distances(X: Any, codes: Any, origin: Any) -> tuple[Any]:
    return (array_namespace(X).sum(X - origin, axis=0),)


def _squares(X: Any, codes: Any, classes: Any, shift: Any) -> tuple[Any, Any, Any]:
    xp = array_namespace(X)
    Z = X - shift
    return *_by_class(Z, codes, classes), xp.sum(Z * Z, axis=0)


def _products(X: Any, codes: Any, classes: Any, shift: Any) -> tuple[Any, Any, Any]:
    Z = X - shift
    return *_by_class(Z, codes, classes), Z.T @ Z


def _by_class(Z: Any, codes: Any, classes: Any) -> tuple[Any, Any]:
    """The rows of each class: how many, and their sum."""
    xp = array_namespace(Z)
    member = xp.astype(codes[:, None] == classes[None, :], Z.dtype)
    return xp.sum(member, axis=0), member.T @ Z

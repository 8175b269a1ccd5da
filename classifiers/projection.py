"""Principal components of the features, from the rows that a head is fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import UserError
from features.files import whole_file

NEGLIGIBLE = 1e-6
"""A component's variance relative to the first's, below which whitening would blow up rounding."""

PROJECTION = "projection.npz"


@dataclass(frozen=True)
class Projection:
    """A linear map of the features.

    Attributes:
        mean: float32 (dimensions,), subtracted first.
        matrix: float32 (dimensions, components).
    """

    mean: np.ndarray
    matrix: np.ndarray

    def __call__(self, X: Any) -> Any:
        """Rows (n, dimensions) as float32 (n, components); lazily of a dask array."""
        if isinstance(X, np.ndarray):
            return (X - self.mean) @ self.matrix
        return X.map_blocks(self, dtype=np.float32, chunks=(X.chunks[0], (self.matrix.shape[1],)))

    def save(self, directory: Path) -> None:
        """Keeps it in a run's directory."""
        with whole_file(directory / PROJECTION) as part, part.open("wb") as file:
            np.savez(file, mean=self.mean, matrix=self.matrix)


def read_projection(directory: Path) -> Projection:
    """Reads what `Projection.save` kept.

    Raises:
        UserError: The file is missing or damaged.
    """
    path = directory / PROJECTION
    try:
        with np.load(path, allow_pickle=False) as kept:
            return Projection(kept["mean"], kept["matrix"])
    except Exception as error:  # numpy raises whatever the damage leads to
        raise UserError(f"{path}: missing or damaged; delete the run and start again") from error


def principal_components(X: Any, components: int | None, *, whiten: bool) -> Projection:
    """The directions of the greatest variance of the standardised features.

    From the eigenvectors of their Gram matrix, which one reading of the rows gives, also of those
    that are larger than memory (Jolliffe, I. T. (2002): Principal component analysis, 2nd ed.,
    section 2.3, on correlations rather than covariances).

    Args:
        X: float32 (n, dimensions), an array or a dask array.
        components: How many; all where missing.
        whiten: Brings each to variance 1. Those of hardly any variance become 0.

    Raises:
        ValueError: There are fewer dimensions than components.
    """
    # Here, for whoever plans a study reads this module too.
    from scipy.linalg import eigh

    from classifiers.solvers.moments import moments_and_gram
    from classifiers.solvers.rows import Rows

    n, dimensions = X.shape
    count = dimensions if components is None else components
    if not 0 < count <= dimensions:
        raise ValueError(
            f"pca: {count} components of {dimensions} dimensions; give a number up to that"
        )
    rows = Rows(X, np.zeros(n, dtype=np.int64))
    found, gram = moments_and_gram(rows, 1)
    variances, vectors = eigh(
        gram, subset_by_index=[dimensions - count, dimensions - 1], check_finite=False
    )
    variances, vectors = variances[::-1] / n, vectors[:, ::-1]
    # The sign of an eigenvector is chance: the largest entry is to be positive.
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(count)])
    if whiten:
        kept = variances > NEGLIGIBLE * variances[0]
        vectors = vectors * np.where(kept, 1 / np.sqrt(np.where(kept, variances, 1)), 0)
    matrix = vectors * found.inverse_scale[:, None]
    return Projection(found.mean.astype(np.float32), matrix.astype(np.float32))

"""The labelled images of a features file but for its test split, which nothing here opens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from classifiers.data import matrix
from classifiers.split import stratified
from features.cache import FeatureFile
from features.errors import UserError


@dataclass(frozen=True)
class Pool:
    """Training rows first, validation rows behind them.

    Attributes:
        values: float32 (images, dimensions).
        labels: int64 (images,).
        ids: The images' names.
        training: How many of them are to train on.
    """

    values: np.ndarray
    labels: np.ndarray
    ids: list[str]
    training: int


def read_pool(
    file: FeatureFile, layers: str | tuple[str, ...], view: str, *, validation: float, seed: int
) -> Pool:
    """Reads the data's own validation split, or draws one from the training split.

    Args:
        file: An open features file.
        layers: As for `classifiers.data.matrix`.
        view: Likewise.
        validation: The share of the training split to draw, where the data brings no validation.
        seed: Of that draw.

    Raises:
        UserError: There is no image to validate on, or no such layer or view.
    """
    values = matrix(file, "train", layers, view)
    labels, ids = file.labels("train"), file.ids("train")
    if "validation" in file.splits:
        training = len(labels)
        values = np.concatenate([values, matrix(file, "validation", layers, view)])
        labels = np.concatenate([labels, file.labels("validation")])
        ids = ids + file.ids("validation")
    else:
        first, second = stratified(labels, validation, seed, file.classes)
        training = len(first)
        order = np.concatenate([first, second])
        values, labels, ids = values[order], labels[order], [ids[row] for row in order]
    if training == len(labels):
        raise UserError(f"{file.path}: the validation split holds no image")
    return Pool(values, labels, ids, training)


def places(labels: np.ndarray, seed: int) -> np.ndarray:
    """Each row's place among those of its class, in an order drawn by the seed, int64 (images,)."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) - starts[labels[order]]
    return found

"""The labelled images of features but for their test split, which nothing here opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from classifiers.data import Features
from classifiers.spec import Choice
from classifiers.split import stratified
from features.errors import UserError


@dataclass(frozen=True)
class Pool:
    """Training rows first, validation rows behind them.

    Attributes:
        values: float32 (images, dimensions), or (images, views, dimensions); an array or a dask
            array.
        labels: int64 (images,).
        ids: The images' names.
        classes: The names of the classes, also of those that no label is of.
        training: How many of them are to train on.
    """

    values: Any
    labels: np.ndarray
    ids: list[str]
    classes: list[str]
    training: int


def read_pool(
    features: Features, choice: Choice, *, validation: float | None, seed: int, lazy: bool = False
) -> Pool:
    """Reads the data's own validation split, or draws one from the training split.

    Args:
        features: Open features.
        choice: What is seen of them.
        validation: The share of the training split to draw, where the data brings no validation.
            None: nothing is drawn.
        seed: Of that draw.
        lazy: Leaves the values where they are, as a dask array.

    Raises:
        UserError: There is no image to validate on, or no such layer or view.
    """
    read = features.lazy if lazy else features.matrix
    values = read("train", choice)
    labels, ids = features.labels("train"), features.ids("train")
    if "validation" in features.splits:
        training = len(labels)
        values = _joined([values, read("validation", choice)])
        labels = np.concatenate([labels, features.labels("validation")])
        ids = ids + features.ids("validation")
    elif validation is None:
        return Pool(values, labels, ids, features.classes, len(labels))
    else:
        first, second = stratified(labels, validation, seed, features.classes)
        training = len(first)
        order = np.concatenate([first, second])
        values = _joined([values[first], values[second]]) if lazy else values[order]
        labels, ids = labels[order], [ids[row] for row in order]
    if training == len(labels):
        raise UserError(f"{features.path}: the validation split holds no image")
    return Pool(values, labels, ids, features.classes, training)


def _joined(parts: list[Any]) -> Any:
    """Rows behind each other."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    import dask.array as da

    return da.concatenate(parts)  # type: ignore[no-untyped-call]


def folds_of(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Which fold each row is in, drawn class by class, int64 (images,)."""
    # Each class begins with another fold, so that small classes do not all lie in the first.
    fold: np.ndarray = (places(labels, seed) + labels) % folds
    return fold


def places(labels: np.ndarray, seed: int) -> np.ndarray:
    """Each row's place among those of its class, in an order drawn by the seed, int64 (images,)."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) - starts[labels[order]]
    return found

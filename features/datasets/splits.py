"""Which images stand in which split: stratified draws by seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.datasets.layout import SPLITS, listed
from features.datasets.spec import DatasetSpec
from features.errors import UserError


@dataclass(frozen=True)
class Pick:
    """The images of one split: rows of a split of the data, in its order."""

    source: str
    rows: NDArray[np.int64]


def choose(
    labels: Mapping[str, NDArray[np.int32]], classes: Sequence[str], spec: DatasetSpec
) -> dict[str, Pick]:
    """Draws the test split where the data brings none, then the subsets of `limit`.

    Of a further test set only the test split is left.

    Args:
        labels: The labels of each split that the data brings, shape (images,).
        classes: The names of the classes, for messages.
        spec: Says how much is drawn, and the seed.

    Returns:
        The rows of each split, in order of train, validation, test.

    Raises:
        UserError: A class has too few images, the limit asks for too many or too few, or the data
            of a further test set is split but has no test split.
    """
    picks = {split: Pick(split, np.arange(len(values))) for split, values in labels.items()}
    if spec.only_test:
        picks = {"test": _all_test(picks)}
    elif "test" not in picks:
        picks["train"], picks["test"] = _draw_test(labels["train"], classes, spec)
    for split, count in spec.limit:
        if split not in picks:
            raise UserError(
                f"dataset.limit names the split {split!r}; the data has {listed(list(picks))}."
            )
        pick = picks[split]
        own = labels[pick.source][pick.rows]
        if count > len(own):
            raise UserError(
                f"dataset.limit asks for {count:,} images of {split}, which has {len(own):,}."
            )
        kept = draw(own, count, spec.seed)
        lost = sorted(set(own.tolist()) - set(own[kept].tolist()))
        if lost:
            raise UserError(
                f"dataset.limit leaves {count:,} images of {split}, none of the classes "
                f"{listed([classes[label] for label in lost])}. Ask for more images."
            )
        picks[split] = Pick(pick.source, pick.rows[kept])
    return {split: picks[split] for split in SPLITS if split in picks}


def draw(labels: NDArray[np.int32], count: int, seed: int) -> NDArray[np.int64]:
    """Draws images so that each class keeps its share, to within one image.

    `resample` and not `train_test_split`, since the latter refuses draws that leave fewer images
    than there are classes.

    Args:
        labels: Shape (images,).
        count: How many to draw, at most all.
        seed: Equal seeds draw equal images.

    Returns:
        The rows drawn, ascending, shape (count,).
    """
    from sklearn.utils import resample

    rows = np.arange(len(labels))
    if count <= 0:
        return rows[:0]
    return np.sort(
        resample(rows, replace=False, n_samples=count, stratify=labels, random_state=seed)
    )


def _all_test(picks: Mapping[str, Pick]) -> Pick:
    """The images of a further test set."""
    if "test" not in picks and len(picks) > 1:
        raise UserError(
            f"A further test set: the data has the splits {listed(list(picks))} and none of them "
            "is test. Call the one with the test images test, or bring no other."
        )
    return picks.get("test") or next(iter(picks.values()))


def _draw_test(
    labels: NDArray[np.int32], classes: Sequence[str], spec: DatasetSpec
) -> tuple[Pick, Pick]:
    if not 0 < spec.test < 1:
        raise UserError(
            f"The data brings no test split, and dataset.test is {spec.test}: give the share of "
            "the images to draw for it, such as 0.2."
        )
    test = draw(labels, math.ceil(len(labels) * spec.test), spec.seed)
    train = np.setdiff1d(np.arange(len(labels)), test)
    for split, rows in (("test", test), ("train", train)):
        lost = np.setdiff1d(labels, labels[rows])
        if lost.size:
            counts = np.bincount(labels)
            few = listed([f"{classes[label]}: {counts[label]}" for label in lost])
            raise UserError(
                f"A share of {spec.test} for the test split leaves no image in {split} for these "
                f"classes (with their images): {few}. Add images, choose another dataset.test, or "
                "bring a test split of your own."
            )
    return Pick("train", train), Pick("train", test)

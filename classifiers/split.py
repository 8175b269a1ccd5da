"""The validation split, where the data brings none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.errors import UserError


def stratified(
    labels: np.ndarray, share: float, seed: int, classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Draws a share of every class for validation.

    Each class gives its share rounded to whole images, at least one, and keeps at least one. The
    draw depends on the labels, the share and the seed alone.

    Args:
        labels: int64 (images,).
        share: What part of each class to draw, between 0 and 1.
        seed: Of the draw.
        classes: The classes' names, for the message.

    Returns:
        The rows to train on and the rows to validate on, each ascending, int64.

    Raises:
        UserError: The share is not between 0 and 1, or a class has only one image.
    """
    if not 0 < share < 1:
        raise UserError(f"validation: {share} is no share; give a number between 0 and 1")
    present, counts = np.unique(labels, return_counts=True)
    single = [classes[label] for label, count in zip(present, counts, strict=True) if count < 2]
    if single:
        raise UserError(
            f"too few training images to draw a validation split: only one of "
            f"{', '.join(single)}; at least two a class are needed"
        )
    generator = np.random.default_rng(seed)
    drawn = np.zeros(len(labels), dtype=bool)
    for label, count in zip(present, counts, strict=True):
        take = min(max(1, round(share * count)), count - 1)
        drawn[generator.permutation(np.flatnonzero(labels == label))[:take]] = True
    return np.flatnonzero(~drawn), np.flatnonzero(drawn)

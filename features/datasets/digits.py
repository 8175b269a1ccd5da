"""The handwritten digits that scikit-learn brings: 1,797 images of 8 x 8."""

from __future__ import annotations

import hashlib

import numpy as np

from features.datasets.arrays import Arrays, in_memory
from features.errors import UserError

# Of the scaled images and the labels.
CONTENT = "a19cb3d96bba7deace8ee5a513a6eb7bad0403d528f00bf4d351b6a7a55baa91"
BRIGHTEST = 16


def load(expected: str) -> Arrays:
    """The digits as 8-bit images.

    Args:
        expected: The identity they must have.

    Returns:
        Greyscale images of shape (1797, 8, 8), their 0 to 16 scaled to 0 to 255.

    Raises:
        UserError: This scikit-learn brings other digits.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / BRIGHTEST)).astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    if hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() != expected:
        raise UserError("This version of scikit-learn brings other digits than the known ones.")
    classes = [str(name) for name in digits.target_names]
    return in_memory(classes, {"train": (images, labels)}, has_splits=False)

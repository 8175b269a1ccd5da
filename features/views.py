"""Views: an image as the backbone sees it. Each is deterministic, so that it is computed once."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Images = Array | list[Array]

VIEW_PATTERN = r"^(identity|mirror|augmented-(0|[1-9][0-9]{0,8}))$"

AREA = (0.5, 1.0)
ASPECT = (3 / 4, 4 / 3)
TRIES = 10
COLOUR = (0.8, 1.2)
GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601, section 2.5.1: how much of each of red, green and blue is in grey."""


def is_view(name: str) -> bool:
    """Whether there is such a view."""
    return re.fullmatch(VIEW_PATTERN, name) is not None


def see(view: str, images: Images, ids: Sequence[str]) -> Images:
    """Images in a view.

    Args:
        view: "identity", "mirror" (left and right exchanged), or "augmented-" and a seed: a part
            of the image with half to all of its area and 3/4 to 4/3 of its aspect ratio, brought
            back to its size; mirrored or not; brightness, contrast and saturation each times 0.8
            to 1.2. Crops after Szegedy et al. 2015, "Going deeper with convolutions", section 6;
            colours after Howard 2013, "Some improvements on deep convolutional neural network based
            image classification", section 2.2; both milder than there, since no network is trained
            on them from scratch.
        images: uint8, (images, height, width, 3), or a list of (height, width, 3). Never changed.
        ids: The images' names. With the seed they decide an augmentation, and nothing else does.

    Returns:
        uint8, like `images`.

    Raises:
        ValueError: There is no such view.
    """
    if view == "identity":
        return images
    if view == "mirror":
        if isinstance(images, list):
            return [image[:, ::-1] for image in images]
        return images[:, :, ::-1]
    if not is_view(view):
        raise ValueError(f"no view {view!r}")
    seed = view.removeprefix("augmented-")
    seen = [_augmented(image, seed, name) for image, name in zip(images, ids, strict=True)]
    if isinstance(images, list):
        return seen
    return np.stack(seen) if seen else images


def _augmented(image: Array, seed: str, name: str) -> Array:
    from PIL import Image

    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:16]))
    height, width = image.shape[:2]
    box = _crop(rng, height, width)
    mirrored = rng.random() < 0.5
    brightness, contrast, saturation = rng.uniform(*COLOUR, 3).astype(np.float32)
    # Upwards only, so that Pillow's antialiasing has nothing to do.
    crop = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box)
    pixels = np.asarray(crop, np.float32) * brightness
    if mirrored:
        pixels = pixels[:, ::-1]
    grey = pixels @ GREY
    mean = grey.mean()
    # Contrast about the image's mean grey, then saturation about each pixel's own.
    grey = (grey - mean) * contrast + mean
    pixels = (pixels - mean) * contrast + mean
    pixels = (pixels - grey[..., None]) * saturation + grey[..., None]
    seen: Array = np.rint(pixels.clip(0, 255)).astype(np.uint8)
    return seen


def _crop(rng: np.random.Generator, height: int, width: int) -> tuple[float, float, float, float]:
    """A random part of an image: left, upper, right, lower."""
    for _ in range(TRIES):
        area = rng.uniform(*AREA)
        aspect = math.exp(rng.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
        wide, high = width * math.sqrt(area * aspect), height * math.sqrt(area / aspect)
        if wide <= width and high <= height:
            left, upper = rng.uniform(0, width - wide), rng.uniform(0, height - high)
            return left, upper, left + wide, upper + high
    return 0, 0, width, height

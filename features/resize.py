"""Resizing as Keras' own layer does it: of one image on the CPU, and as two matrix products."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

CUBIC_STEPS = 1024
"""TensorFlow looks its cubic weights up in a table with so many entries a pixel."""


def resize(
    image: Array, size: tuple[int, int], interpolation: str, mode: str, antialias: bool = False
) -> Array:
    """Brings an image to a size, like `keras.layers.Resizing` on TensorFlow.

    Args:
        image: uint8 or float32 (height, width, 3).
        size: Height and width to come to.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        mode: "stretch" to the size; keep the aspect ratio with "crop" (the largest middle part) or
            "pad" (black at two sides).
        antialias: Whether each new pixel of a smaller image weighs all that it covers, instead of
            the few old ones next to it.

    Returns:
        float32 (*size, 3).
    """
    for axis, (offset, length) in enumerate(_windows(image.shape[:2], size, mode)):
        image = _part(image, axis, offset, length)
        image = _along(image, axis, size[axis], interpolation, antialias)
    resized: Array = image.astype(np.float32, copy=False)
    return resized


def matrices(
    image_size: tuple[int, int],
    size: tuple[int, int],
    interpolation: str,
    mode: str,
    antialias: bool = False,
) -> tuple[Array, Array]:
    """The same as products: of each channel, rows @ image @ columns.T.

    Where the images are few pixels, that costs an engine a fraction of its own resize.

    Args:
        image_size: Height and width to come from.
        size: As for `resize`.
        interpolation: As for `resize`.
        mode: As for `resize`.
        antialias: As for `resize`.

    Returns:
        rows, float32 (new height, height), and columns, float32 (new width, width).
    """
    windows = _windows(image_size, size, mode)
    rows, columns = (
        _along(
            _part(np.eye(source, dtype=np.float32), 0, *window), 0, target, interpolation, antialias
        )
        for source, target, window in zip(image_size, size, windows, strict=True)
    )
    return rows, columns


Windows = tuple[tuple[int, int], tuple[int, int]]


def _windows(image_size: tuple[int, ...], size: tuple[int, int], mode: str) -> Windows:
    """What is resized, by axis: its offset in the image and its length; padding lies outside."""
    height, width = image_size
    if mode == "stretch":
        return (0, height), (0, width)
    high, wide = _scaled(width, size[0], size[1]), _scaled(height, size[1], size[0])
    if mode == "crop":
        rows, columns = max(1, min(height, high)), max(1, min(width, wide))
        return ((height - rows) // 2, rows), ((width - columns) // 2, columns)
    above, beside = max(0, high - height) // 2, max(0, wide - width) // 2
    return (-above, height + 2 * above), (-beside, width + 2 * beside)


def _part(image: Array, axis: int, offset: int, length: int) -> Array:
    """Cuts an axis, or pads it with black on both sides."""
    if offset < 0:
        pad = [(-offset, -offset) if side == axis else (0, 0) for side in range(image.ndim)]
        return np.pad(image, pad)
    whole = length == image.shape[axis]
    return image if whole else image.take(range(offset, offset + length), axis)


def _scaled(length: int, by: int, over: int) -> int:
    """`length * by / over`, rounded down, in float32 as Keras has it."""
    return int(np.float32(length * by) / np.float32(over))


def _along(image: Array, axis: int, target: int, interpolation: str, antialias: bool) -> Array:
    """Resizes one side: each new row is a weighted sum of a few old ones."""
    if image.shape[axis] == target:
        return image
    places, weights = _taps(image.shape[axis], target, interpolation, antialias)
    shape = [-1 if side == axis else 1 for side in range(image.ndim)]
    rows: list[Array] = [image.take(place, axis) for place in places]
    if len(rows) == 1:
        return rows[0]
    new: Array = rows[0] * weights[0].reshape(shape)
    for row, weight in zip(rows[1:], weights[1:], strict=True):
        new += row * weight.reshape(shape)
    return new


@functools.lru_cache(maxsize=1024)
def _taps(source: int, target: int, interpolation: str, antialias: bool) -> tuple[Array, Array]:
    """Which old rows make each new one, and how much of each.

    Returns:
        int64 places and float32 weights, (taps, target) both; the weights of a new row sum to 1.
    """
    # TensorFlow has one way for these and another for the rest.
    scaled = antialias or interpolation.startswith("lanczos")
    centres = _centres(source, target, scaled and interpolation != "nearest")
    if interpolation == "nearest":
        return np.minimum(centres.astype(int), source - 1)[None], np.ones((1, target), np.float32)
    at = centres - 0.5
    if interpolation == "bilinear":
        reach, kernel = 1, _triangle
    elif interpolation == "bicubic":
        reach, kernel = 2, _cubic
        if not antialias:
            # Only the distance to the next old row is rounded.
            whole = np.floor(at)
            at = whole.astype(float) + np.rint((at - whole) * CUBIC_STEPS) / CUBIC_STEPS
    else:
        reach = int(interpolation.removeprefix("lanczos"))
        kernel = functools.partial(_lanczos, reach)
    wider = max(1.0, source / target) if antialias else 1.0
    far = math.ceil(reach * wider)
    first = np.floor(at).astype(int) - far + 1
    places = first + np.arange(2 * far)[:, None]
    weights = kernel(np.abs(places - at) / wider)
    inside = (places >= 0) & (places < source)
    if antialias or interpolation != "bilinear":  # which repeats the border instead
        weights = weights * inside
    weights = weights / weights.sum(axis=0)
    return places.clip(0, source - 1), weights.astype(np.float32)


def _centres(source: int, target: int, scaled: bool) -> Array:
    """Where the new rows' middles lie among the old rows, the first of which goes from 0 to 1.

    In float32, with TensorFlow's own roundings: in float64 pixels would differ by up to half a grey
    level, and "nearest" could take the other row where a middle lies between two.
    """
    step = np.float32(source) / np.float32(target)
    if scaled:
        step = np.float32(1) / (np.float32(target) / np.float32(source))
    centres: Array = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * step
    return centres


def _triangle(distance: Array) -> Array:
    return np.maximum(0.0, 1.0 - distance)


def _cubic(distance: Array) -> Array:
    """Keys 1981, "Cubic convolution interpolation for digital image processing", a = -1/2."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _lanczos(radius: int, distance: Array) -> Array:
    """Duchon 1979, "Lanczos filtering in one and two dimensions", as a window of `radius`."""
    x = math.pi * np.maximum(distance, 1e-9)
    weights = radius * np.sin(x) * np.sin(x / radius) / x**2
    return np.where(distance < 1e-3, 1.0, np.where(distance <= radius, weights, 0.0))

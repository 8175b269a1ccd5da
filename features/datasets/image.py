"""One image file's bytes to 8-bit RGB."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
ORIENTATION_TAG = 0x0112
# EXIF 2.3, section 4.6.4 A: what undoes each value of Orientation.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LIES_ON_ITS_SIDE = (5, 6, 7, 8)
# Libjpeg can decode at an eighth of the size: it reads all of the data but skips most of the sums.
DRAFT = 8


def decode(data: bytes, *, most_pixels: int | None = None) -> NDArray[np.uint8]:
    """An image as the eye sees it.

    The EXIF orientation is applied; of an animation the first frame is taken; what is transparent
    shows white, as on a page; 16-bit grey is scaled to 8 bits; CMYK is converted without a colour
    profile.

    Args:
        data: The bytes of a JPEG, PNG, BMP, GIF or WebP file.
        most_pixels: Of an image that says it is larger nothing is decoded.

    Returns:
        Shape (height, width, 3), RGB, 0 to 255.

    Raises:
        ValueError: The image is broken or too large; the message is the reason.
    """
    with _opened(data) as image:
        width, height = image.size
        if most_pixels and width * height > most_pixels:
            raise ValueError(f"{width:,} x {height:,} pixels are more than {most_pixels:,}")
        orientation = _orientation(image)
        rgb = _to_rgb(image)
        if orientation in UPRIGHT:
            rgb = rgb.transpose(UPRIGHT[orientation])
        return np.array(rgb)


def measure(data: bytes) -> tuple[int, int]:
    """The size that `decode` gives, found by decoding all of the data as cheaply as possible.

    Args:
        data: The bytes of an image file.

    Returns:
        Height and width in pixels.

    Raises:
        ValueError: The image is broken; the message is the reason.
    """
    with _opened(data) as image:
        width, height = image.size
        orientation = _orientation(image)
        image.draft(None, (max(1, width // DRAFT), max(1, height // DRAFT)))
        _to_rgb(image)
        return (width, height) if orientation in LIES_ON_ITS_SIDE else (height, width)


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    if not data:
        raise ValueError("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            yield image
    except UnidentifiedImageError as error:
        raise ValueError("not a JPEG, PNG, BMP, GIF or WebP image") from error
    # Pillow raises a dozen types for malformed bytes (OSError, SyntaxError, struct.error, ...,
    # DecompressionBombError); whichever it is, this file cannot be used.
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # malformed EXIF beside sound pixels: the image is taken as it stands
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255. 65535 / 257 = 255 exactly.
        grey = (np.asarray(image).astype(np.uint32) + 128) // 257
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        return Image.alpha_composite(white, seen).convert("RGB")
    return image.convert("RGB")

"""Small pictures of a data set's images, to stand in the page itself."""

from __future__ import annotations

import base64
import io
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from features.datasets import open_images
from features.errors import UserError

LOG = logging.getLogger("headstart")

QUALITY = 80

SIDE = 64
"""The longer side of a picture, in pixels."""


TILE = 32
"""The same of one of very many."""

SEEN = ("train", "validation")
"""The splits that may be looked at while something is still to be chosen."""


def thumbnails(
    dataset: Path, source: Path | None, ids: Sequence[str], splits: Sequence[str] = SEEN
) -> dict[str, str]:
    """Images by name, as addresses that hold the picture (data:image/...).

    Args:
        dataset: The dataset file.
        source: The folder that the images come from, where they are files in a folder.
        ids: The images' names.
        splits: Where they are looked for: not in the test split, unless it is named.

    Returns:
        As many as could be read; none where the folder has gone.
    """
    return {name: _address(pixels) for name, pixels in _read(dataset, source, ids, splits)}


def sprite(dataset: Path, source: Path | None, ids: Sequence[str]) -> dict[str, Any] | None:
    """Tiny pictures of images as one, row by row from the upper left.

    Args:
        dataset: The dataset file.
        source: The folder that the images come from, where they are files in a folder.
        ids: The images' names, in the order of the pictures. None of the test split is shown.

    Returns:
        Its `address`, the `side` of a picture in pixels, and how many `columns` there are; None
        where no image could be read.
    """
    pictures = {name: _shrunk(pixels, TILE) for name, pixels in _read(dataset, source, ids, SEEN)}
    if not pictures:
        return None
    side = max(max(picture.size) for picture in pictures.values())
    columns = math.ceil(math.sqrt(len(ids)))
    sheet = Image.new("RGB", (columns * side, math.ceil(len(ids) / columns) * side))
    for place, name in enumerate(ids):
        if picture := pictures.get(name):
            row, column = divmod(place, columns)
            free = side - picture.width, side - picture.height
            sheet.paste(picture, (column * side + free[0] // 2, row * side + free[1] // 2))
    return {"address": address(sheet, lossless=side < TILE), "side": side, "columns": columns}


def _shrunk(pixels: np.ndarray, side: int) -> Image.Image:
    """An image, uint8 (height, width, 3), no longer than that side."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    return image


def _read(
    dataset: Path, source: Path | None, ids: Sequence[str], splits: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Images with their names, uint8 (height, width, 3), as far as they can be read."""
    wanted = set(ids)
    try:
        with open_images(dataset, source) as images:
            for split in (split for split in images.splits if split in splits):
                for row, name in enumerate(images.ids(split)):
                    if name in wanted:
                        yield name, np.asarray(images.read(split, row, row + 1)[0])
    except UserError as error:
        LOG.warning(f"not all pictures can be shown: {error}")


def _address(pixels: np.ndarray) -> str:
    """An image, uint8 (height, width, 3), as an address; a tiny one is enlarged in whole steps."""
    image = Image.fromarray(pixels)
    longer = max(image.size)
    if longer * 2 <= SIDE:
        step = SIDE // longer
        image = image.resize((image.width * step, image.height * step), Image.Resampling.NEAREST)
        return address(image, lossless=True)
    return address(_shrunk(pixels, SIDE), lossless=False)


def address(image: Image.Image, *, lossless: bool) -> str:
    """A picture as an address that holds it; a photograph takes a fifth as much with a loss."""
    file = io.BytesIO()
    if lossless:
        image.save(file, "PNG", optimize=True)
    else:
        image.save(file, "WEBP", quality=QUALITY)
    kind = "png" if lossless else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"

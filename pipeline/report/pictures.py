"""Small pictures of a data set's images, to stand in the page itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from features.datasets import open_images
from features.errors import UserError

SIDE = 64
"""The longer side of a picture, in pixels."""


def thumbnails(dataset: Path, source: Path | None, ids: Sequence[str]) -> dict[str, str]:
    """Images by name, as addresses that hold the picture (data:image/png).

    Args:
        dataset: The dataset file.
        source: The folder that the images come from, where they are files in a folder.
        ids: The images' names. Those of the test split are not looked for.

    Returns:
        As many as could be read; none where the folder has gone.
    """
    found: dict[str, str] = {}
    wanted = set(ids)
    try:
        with open_images(dataset, source) as images:
            for split in (split for split in images.splits if split != "test"):
                for row, name in enumerate(images.ids(split)):
                    if name in wanted:
                        found[name] = _address(np.asarray(images.read(split, row, row + 1)[0]))
    except UserError:
        return found
    return found


def _address(pixels: np.ndarray) -> str:
    """An image, uint8 (height, width, 3), as an address; a tiny one is enlarged in whole steps."""
    image = Image.fromarray(pixels)
    longer = max(image.size)
    if longer * 2 <= SIDE:
        step = SIDE // longer
        image = image.resize((image.width * step, image.height * step), Image.Resampling.NEAREST)
    else:
        image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()

"""Image files and folders, decoded ahead of what computes."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from classifiers.predict.model import Model
from features.datasets.image import decode
from features.datasets.layout import SUFFIXES, is_hidden, is_image
from features.errors import UserError

THREADS = 4
AHEAD = 32
"""Files that are decoded or waited for at a time."""


@dataclass(frozen=True)
class Prediction:
    """What was said of a file.

    Attributes:
        file: The file.
        top: Its most probable classes, the first first; empty where it could not be read.
        error: Why not.
    """

    file: Path
    top: list[tuple[str, float]]
    error: str | None = None


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are named, and the images of folders and their subfolders, by name.

    Of a folder is taken what a data set would be made of; a file that is named itself is read
    whatever its name.

    Raises:
        UserError: There is no such file or folder, or a folder holds no image.
    """
    for path in paths:
        if path.is_dir():
            empty = True
            for folder, names, files in os.walk(path, followlinks=True):
                names[:] = sorted(name for name in names if not is_hidden(name))
                for file in sorted(files):
                    if is_image(file) and not is_hidden(file):
                        empty = False
                        yield Path(folder) / file
            if empty:
                raise UserError(f"{path}: no image in it ({', '.join(SUFFIXES)})")
        elif path.exists():
            yield path
        else:
            raise UserError(f"{path}: no such file or folder")


def predict_files(model: Model, files: Iterable[Path], top: int) -> Iterator[Prediction]:
    """Predicts one file after another, in their order; one that cannot be read stops none.

    Args:
        model: An exported run.
        files: Of them few are in memory at a time.
        top: How many classes to give.
    """
    readable: deque[Path] = deque()
    broken: deque[tuple[int, Prediction]] = deque()
    read = 0

    def images() -> Iterator[np.ndarray]:
        nonlocal read
        for file, found in _decoded(files):
            if isinstance(found, str):
                broken.append((read, Prediction(file, [], found)))
            else:
                readable.append(file)
                yield found
            read += 1

    told = 0
    for probabilities in model.stream(images()):
        while broken and broken[0][0] == told:
            yield broken.popleft()[1]
            told += 1
        yield Prediction(readable.popleft(), model.top(probabilities, top))
        told += 1
    for _, prediction in broken:
        yield prediction


def _decoded(files: Iterable[Path]) -> Iterator[tuple[Path, np.ndarray | str]]:
    """Each file with its image, or with why there is none."""
    ahead: deque[tuple[Path, Future[np.ndarray | str]]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        for file in files:
            ahead.append((file, pool.submit(_read, file)))
            if len(ahead) >= AHEAD:
                first, found = ahead.popleft()
                yield first, found.result()
        for first, found in ahead:
            yield first, found.result()


def _read(file: Path) -> np.ndarray | str:
    try:
        return decode(file.read_bytes())
    except OSError as error:
        return error.strerror or type(error).__name__
    except ValueError as error:
        return str(error)


def quiet_about_large_images() -> None:
    """Silences Pillow's warning of images that are large; those too large are refused anyway."""
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)

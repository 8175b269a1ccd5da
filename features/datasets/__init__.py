"""Images with labels, from many sources, as one kind of file.

`identify` names the data by its content, `prepare` writes the dataset file, `open_images` reads it.
"""

from __future__ import annotations

import logging
from pathlib import Path

from features.datasets import arrays, cifar, digits, folder
from features.datasets.cifar import archive_at_hand
from features.datasets.file import Images, open_images
from features.datasets.hashing import hash_large_file
from features.datasets.spec import DatasetSpec
from features.errors import UserError
from features.files import alone, disk_errors

__all__ = [
    "SOURCES",
    "DatasetSpec",
    "Images",
    "archive_at_hand",
    "identify",
    "open_images",
    "prepare",
]

LOG = logging.getLogger("headstart")

SOURCES = ("cifar10", "cifar100", "digits", "folder", "npz", "hdf5")


def identify(source: str, path: Path | None, memo: Path, *, only_test: bool = False) -> str:
    """The identity of a data set: a hash of its content, whatever its place and its times.

    Args:
        source: One of `SOURCES`.
        path: The user's folder, archive or file; None where the source needs none.
        memo: A small file in which hashes are remembered, so that the next call is quick.
        only_test: Whether it is a further test set, whose spec says `test=1.0`. Such data needs no
            train split, and one class does.

    Returns:
        A sha256 in hexadecimal.

    Raises:
        UserError: The data is missing, or cannot be a data set.
    """
    if source == "digits":
        return digits.CONTENT
    if source in cifar.OFFICIAL:
        return cifar.identify(source, path, memo)
    if source == "folder":
        return folder.identify(_needed(source, path), memo, only_test)
    if source in ("npz", "hdf5"):
        return arrays.identify(source, _needed(source, path), memo, only_test)
    raise UserError(f"dataset.source is {source!r}; it may be {', '.join(SOURCES)}.")


def prepare(spec: DatasetSpec, path: Path | None, output: Path, max_broken: int = 0) -> None:
    """Writes the dataset file: checks the images, draws the splits that the data lacks.

    A file that is there is left as it is.

    Args:
        spec: The data set.
        path: As for `identify`.
        output: The dataset file. The images of an archive are put into it.
        max_broken: How many broken image files are skipped; with more than that nothing is written.

    Raises:
        UserError: The data changed since it was identified, too many images are broken, a class has
            too few for the draws, or only a further test set could be made of it.
    """
    if output.exists():
        LOG.info(f"{output.name} is there already")
        return
    with alone(output), disk_errors(output):
        # Whoever had the lock may have finished it.
        if not output.exists():
            _prepare(spec, path, output, max_broken)


def _prepare(spec: DatasetSpec, path: Path | None, output: Path, max_broken: int) -> None:
    if spec.source == "digits":
        arrays.prepare(spec, digits.load(spec.content), output)
    elif spec.source in cifar.OFFICIAL:
        arrays.prepare(spec, cifar.load(spec.source, path, spec.content), output)
    elif spec.source == "folder":
        folder.prepare(spec, _needed(spec.source, path), output, max_broken)
    else:
        file = _needed(spec.source, path)
        with arrays.opened(spec.source, file, spec.only_test) as data:
            if hash_large_file(file) != spec.content:
                raise UserError(f"{file} changed while the study was running. Start it again.")
            arrays.prepare(spec, data, output)


def _needed(source: str, path: Path | None) -> Path:
    if path is None:
        raise UserError(f"dataset.path is missing: where is the data of source {source!r}?")
    return path

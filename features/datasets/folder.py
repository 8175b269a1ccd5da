"""A folder of image files, one subfolder a class, or an archive of one."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from features.datasets import archive
from features.datasets.file import Broken, Split, write_dataset
from features.datasets.hashing import content_of, hash_image, in_threads, read_bytes
from features.datasets.image import measure
from features.datasets.layout import NAMED_AT_MOST, Layout, arrange, is_hidden, is_image, is_text
from features.datasets.memo import Stamp, remembered, stamp_of
from features.datasets.spec import DatasetSpec
from features.datasets.splits import choose
from features.errors import UserError

LOG = logging.getLogger("headstart")


@dataclass(frozen=True)
class Examined:
    """What one image file is: its hash, and its height and width or why it cannot be used."""

    length: int
    sha256: bytes
    size: tuple[int, int] | None
    reason: str


def identify(path: Path, memo: Path, only_test: bool = False) -> str:
    """The identity of a folder's images: their paths and bytes, not where they lie or since when.

    Args:
        path: The folder, or an archive of it.
        memo: Where hashes are remembered.
        only_test: Whether it is a further test set.

    Returns:
        A sha256 in hexadecimal.

    Raises:
        UserError: The folder is missing, or its subfolders make no data set.
    """
    if path.is_dir():
        layout, stamps = _scan(path, only_test)
        images = {name: stamps[layout.base + name] for name in layout.ids}

        def compute() -> str:
            files = [path / layout.base / name for name in layout.ids]
            hashes = in_threads(hash_image, files, f"hashing the images of {path.name}")
            return content_of(zip(layout.ids, hashes, strict=True))

    elif path.is_file() and archive.is_archive(path):
        images = {path.name: stamp_of(path.stat())}

        def compute() -> str:
            return archive.content(path, only_test)

    elif path.exists():
        raise UserError(
            f"{path} is neither a folder of images nor an archive of one "
            f"({', '.join(archive.SUFFIXES)})."
        )
    else:
        raise UserError(
            f"{path}: there is no such folder. dataset.path names a folder with one subfolder a "
            "class, or an archive of it."
        )
    key = f"folder:{path.absolute()}"
    # An archive whose hash is remembered is not checked again, and a test set is checked for less.
    return remembered(memo, f"test {key}" if only_test else key, images, compute)


def prepare(spec: DatasetSpec, path: Path, output: Path, max_broken: int) -> None:
    """Examines every image, draws the splits and writes the dataset file.

    The files of a folder stay where they are; those of an archive go, as they are, into the dataset
    file.

    Args:
        spec: The data set.
        path: The folder, or an archive of it.
        output: The dataset file.
        max_broken: How many broken images are skipped.

    Raises:
        UserError: The images changed since they were identified, too many are broken, or a class
            has too few.
    """
    with _opened(path, output.parent, spec.only_test) as (layout, read):
        examined = in_threads(lambda name: _examine(read(name)), layout.ids, "checking the images")
        found = dict(zip(layout.ids, examined, strict=True))
        if content_of((name, one.sha256.hex()) for name, one in found.items()) != spec.content:
            raise UserError(
                f"{path}: the images changed while the study was running. Start it again."
            )
        broken = _broken(path, found, max_broken)
        splits = _splits(spec, path, layout, found)
        if not path.is_dir():
            splits = {name: _with_files(split, found, read) for name, split in splits.items()}
        write_dataset(output, spec, layout.classes, splits, broken)


@contextmanager
def _opened(
    path: Path, directory: Path, only_test: bool
) -> Iterator[tuple[Layout, Callable[[str], bytes]]]:
    """The layout of a folder or archive, and what gives an image's bytes by its id."""
    if path.is_dir():
        layout, _ = _scan(path, only_test)
        base = path / layout.base
        yield layout, lambda name: read_bytes(base / name)
    else:
        with archive.spooled(path, directory, only_test) as opened:
            yield opened


def _examine(data: bytes) -> Examined:
    sha256 = hashlib.sha256(data).digest()
    try:
        return Examined(len(data), sha256, measure(data), "")
    except ValueError as error:
        return Examined(len(data), sha256, None, str(error))


def _broken(path: Path, found: dict[str, Examined], most: int) -> list[Broken]:
    broken: list[Broken] = [
        {"file": name, "reason": one.reason} for name, one in found.items() if one.size is None
    ]
    lines = [f"  {one['file']}: {one['reason']}" for one in broken]
    if len(broken) > most:
        shown = lines[:NAMED_AT_MOST]
        if len(lines) > len(shown):
            shown.append(f"  and {len(lines) - len(shown)} more")
        raise UserError(
            f"{path}: {len(broken)} of {len(found):,} images are broken:\n"
            + "\n".join(shown)
            + "\nMend or remove them, or set dataset.max_broken in the study to the number of "
            f"broken images that may be skipped (it is {most})."
        )
    for line in lines:
        LOG.warning(f"skipped broken image{line}")
    return broken


def _splits(
    spec: DatasetSpec, path: Path, layout: Layout, found: dict[str, Examined]
) -> dict[str, Split]:
    """What is written of each split: its sound images."""
    sound = {
        split: [(name, label) for name, label in images if found[name].size]
        for split, images in layout.splits.items()
    }
    labels = {
        split: np.array([label for _, label in images], np.int32) for split, images in sound.items()
    }
    if not spec.only_test:
        lost = set(range(len(layout.classes))) - set(labels["train"].tolist())
        if lost:
            name = layout.classes[min(lost)]
            raise UserError(f"{path}: every image of class {name!r} is broken.")
    splits = {}
    for split, pick in choose(labels, layout.classes, spec).items():
        if not len(pick.rows):
            raise UserError(f"{path}: every image of the {split} split is broken.")
        ids = [sound[pick.source][row][0] for row in pick.rows]
        splits[split] = Split(
            labels[pick.source][pick.rows],
            ids,
            files={
                "sizes": np.array([found[name].size for name in ids], np.int32),
                "sha256": np.array([list(found[name].sha256) for name in ids], np.uint8),
            },
        )
    return splits


def _with_files(split: Split, found: dict[str, Examined], read: Callable[[str], bytes]) -> Split:
    ends = np.cumsum([found[name].length for name in split.ids], dtype=np.int64)
    return replace(split, files={**split.files, "ends": ends}, encoded=map(read, split.ids))


def _scan(root: Path, only_test: bool) -> tuple[Layout, dict[str, Stamp]]:
    """The layout of a folder, and the stamp of each of its image files by relative path."""
    directories: list[str] = []
    stamps: dict[str, Stamp] = {}
    pending: list[tuple[str, Sequence[Path]]] = [("", ())]
    try:
        while pending:
            folder, entered = pending.pop()
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    if is_hidden(entry.name):
                        continue
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if not is_text(name):
                        raise UserError(f"{root}: {name!r} is no UTF-8 name. Rename it.")
                    if entry.is_dir():
                        directories.append(name)
                        links = (*entered, _link(entry, entered)) if entry.is_symlink() else entered
                        pending.append((name, links))
                    elif is_image(entry.name):
                        status = entry.stat()
                        if stat.S_ISREG(status.st_mode):
                            stamps[name] = stamp_of(status)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return arrange(str(root), directories, stamps, only_test), stamps


def _link(entry: os.DirEntry[str], entered: Sequence[Path]) -> Path:
    """The folder that a link leads to.

    Raises:
        UserError: The link leads back to a folder on the way to it.
    """
    target = Path(entry.path).resolve()
    if target in entered or Path(entry.path).parent.resolve().is_relative_to(target):
        raise UserError(f"{entry.path} is a link back to {target}, a folder around it. Remove it.")
    return target

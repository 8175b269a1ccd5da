"""A folder of images in a .tar, .tar.gz, .tgz or .zip: read without unpacking or trusting it."""

from __future__ import annotations

import hashlib
import lzma
import mmap
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from features.datasets.hashing import content_of
from features.datasets.layout import Layout, arrange, is_hidden, is_image, is_text
from features.errors import UserError
from features.progress import progress

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")

Member = tuple[str, bool, Callable[[], bytes] | None]
"""A member's name, whether it is neither plain file nor folder, and what reads it (a file)."""


def is_archive(path: Path) -> bool:
    """Whether a file's name says that it is an archive of a kind that is read."""
    return path.name.lower().endswith(SUFFIXES)


def content(path: Path, only_test: bool) -> str:
    """The identity of the images in an archive: the same as that of the folder it unpacks to.

    Args:
        path: The archive.
        only_test: Whether it is a further test set.

    Returns:
        A sha256 in hexadecimal.

    Raises:
        UserError: The archive is corrupt or unsafe, or its folders are no data set.
    """
    hashes: dict[str, str] = {}
    directories: set[str] = set()
    for name, data in _visible(path, "hashing"):
        _note_folders(name, data, directories)
        if data is not None:
            hashes[name] = hashlib.sha256(data).hexdigest()
    layout = _arranged(path, directories, hashes, only_test)
    return content_of((name, hashes[layout.base + name]) for name in layout.ids)


@contextmanager
def spooled(
    path: Path, directory: Path, only_test: bool
) -> Iterator[tuple[Layout, Callable[[str], bytes]]]:
    """Makes an archive's images readable in any order, by several threads.

    Thousands of small files would cost far more to write than the one file in which the images
    are laid here, one behind the other, while the block lasts.

    Args:
        path: The archive.
        directory: Where that file may lie. It has no name there, so that nothing can be left over.
        only_test: Whether it is a further test set.

    Yields:
        The layout, and a function that gives an image's bytes by its id.

    Raises:
        UserError: The archive is corrupt or unsafe, or its folders are no data set.
    """
    places: dict[str, slice] = {}
    directories: set[str] = set()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory) as spool:
        end = 0
        for name, data in _visible(path, "reading"):
            _note_folders(name, data, directories)
            if data is not None:
                spool.write(data)
                places[name] = slice(end, end + len(data))
                end += len(data)
        layout = _arranged(path, directories, places, only_test)
        # A file of no bytes cannot be mapped.
        spool.write(b"\0")
        spool.flush()
        with mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield layout, lambda name: content[places[layout.base + name]]


def _note_folders(name: str, data: bytes | None, directories: set[str]) -> None:
    """Adds the folders that a member is or lies in."""
    folder = name if data is None else name.rpartition("/")[0]
    while folder and folder not in directories:
        directories.add(folder)
        folder = folder.rpartition("/")[0]


def _arranged(
    path: Path, directories: set[str], files: Mapping[str, object], only_test: bool
) -> Layout:
    if both := directories & files.keys():
        raise UserError(f"{path}: the archive holds {min(both)!r} both as a file and as a folder.")
    return arrange(str(path), directories, files, only_test)


def _visible(path: Path, what: str) -> Iterator[tuple[str, bytes | None]]:
    """The visible folders (with None) and image files (with their bytes) of an archive."""
    members = _zip_members if path.name.lower().endswith(".zip") else _tar_members
    try:
        size = path.stat().st_size
        with (
            path.open("rb") as raw,
            progress(size, f"{what} {path.name}", "bytes") as advance,
        ):
            shown = 0
            for name, is_other, read in members(raw):
                parts = [part for part in name.split("/") if part not in ("", ".")]
                if any(is_hidden(part) for part in parts if part != ".."):
                    continue
                if is_other or not _stays_inside(name):
                    raise UserError(
                        f"{path}: the archive holds {name!r}, a link or a path that may lead out "
                        "of it. Pack plain folders and files, by relative paths."
                    )
                if parts and (read is None or is_image(name)):
                    yield "/".join(parts), read() if read else None
                # The whole of a small archive may be in the reader's buffer long before its end.
                if shown < raw.tell() < size:
                    advance(raw.tell() - shown)
                    shown = raw.tell()
            advance(size - shown)
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file.") from error
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        RuntimeError,  # an encrypted .zip
        NotImplementedError,  # a compression that zipfile does not know
    ) as error:
        raise UserError(
            f"{path} cannot be read as an archive: {error}. It is corrupt, incomplete or of "
            f"another kind; {', '.join(SUFFIXES)} are read."
        ) from error


def _stays_inside(name: str) -> bool:
    """Whether a path is text, relative, and leads downwards only."""
    return is_text(name) and not name.startswith("/") and ".." not in name.split("/")


def _tar_members(raw: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(fileobj=raw, mode="r:*") as tar:
        for member in tar:
            read = partial(_read_tar, tar, member) if member.isfile() else None
            yield member.name, not (member.isfile() or member.isdir()), read


def _read_tar(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # None only for what is no file
    return file.read()


def _zip_members(raw: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(raw) as archive:
        for member in archive.infolist():
            # The upper half of the external attributes is the Unix mode; 0o12 is a symbolic link.
            is_link = member.external_attr >> 28 == 0o12
            yield (
                member.filename,
                is_link,
                None if member.is_dir() else partial(archive.read, member),
            )

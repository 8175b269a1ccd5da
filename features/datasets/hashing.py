"""Content hashes, taken by several threads where there are many files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from features.errors import UserError
from features.progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")

READ_BYTES = 1 << 22
# Small files cost less than the hand-over to a thread, so a thread takes several at once.
ITEMS_PER_TASK = 32
TASKS_IN_FLIGHT = 64


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], what: str
) -> Iterator[Result]:
    """Applies `function` to each item in a thread pool, with progress.

    Args:
        function: What to do; it should spend its time outside the interpreter lock.
        items: What to do it to.
        what: The phrase that the progress shows.

    Yields:
        The results in the order of `items`.
    """

    def task(start: int) -> list[Result]:
        return [function(item) for item in items[start : start + ITEMS_PER_TASK]]

    starts = range(0, len(items), ITEMS_PER_TASK)
    with ThreadPoolExecutor() as pool, progress(len(items), what) as advance:
        # In waves, so that neither a million futures nor a million results wait in memory.
        for wave in range(0, len(starts), TASKS_IN_FLIGHT):
            for results in pool.map(task, starts[wave : wave + TASKS_IN_FLIGHT]):
                yield from results
                advance(len(results))


def hash_image(path: Path) -> str:
    """The sha256 of one file that is small enough to be read whole, in hexadecimal."""
    return hashlib.sha256(read_bytes(path)).hexdigest()


def read_bytes(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        UserError: The file is gone or may not be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error


def hash_large_file(path: Path) -> str:
    """The sha256 of a file of any size, in hexadecimal, with progress.

    Raises:
        UserError: The file is gone or may not be read.
    """
    digest = hashlib.sha256()
    try:
        size = path.stat().st_size
        with path.open("rb") as file, progress(size, f"hashing {path.name}", "bytes") as advance:
            while block := file.read(READ_BYTES):
                digest.update(block)
                advance(len(block))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()


def content_of(files: Iterable[tuple[str, str]]) -> str:
    """The identity of a set of files: one hash over their sorted names and hashes.

    Args:
        files: (relative path with forward slashes, sha256 in hexadecimal) pairs.

    Returns:
        A sha256 in hexadecimal. It depends neither on where the files lie nor on their times.
    """
    digest = hashlib.sha256()
    for name, content in sorted(files):
        # No path can contain a NUL, so no two sets of files spell the same text.
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()

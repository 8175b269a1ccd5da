"""Content hashes remembered from one call to the next, as git's index remembers them.

A hash is kept with the size and times of every file it was taken from. While these stay the same
the files are not read again; when they differ the files are, so a wrong guess costs time and never
gives a wrong identity.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from features.datasets.hashing import hash_large_file

Stamp = tuple[int, int, int]
"""A file's size in bytes, its time of modification and its time of status change, in ns."""

# A file that changed so recently could change again without its times showing it.
SETTLED_NS = 2_000_000_000


def stamp_of(stat: os.stat_result) -> Stamp:
    """What is remembered of a file's status.

    The time of status change is taken too, since tools that restore a file's time of modification
    (tar, rsync, cp -p) cannot restore that one.
    """
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def remembered(
    memo: Path, key: str, stamps: Mapping[str, Stamp], compute: Callable[[], str]
) -> str:
    """The content hash of some files, read only when they may have changed.

    Args:
        memo: A JSON file, made when missing. It may be deleted at any time.
        key: Names the set of files, such as its absolute path.
        stamps: The files' stamps by relative path, taken before this call.
        compute: Reads the files and gives their content hash.

    Returns:
        The content hash.
    """
    now = time.time_ns()
    listing = hashlib.sha256(
        "".join(f"{name}\0{stamps[name]}\n" for name in sorted(stamps)).encode()
    ).hexdigest()
    entry = _read(memo).get(key)
    if entry and entry[0] == listing:
        return entry[1]
    content = compute()
    newest = max((max(stamp[1:]) for stamp in stamps.values()), default=0)
    if newest < now - SETTLED_NS:
        # A memo that cannot be written costs the next call some time; it must not stop this one.
        with contextlib.suppress(OSError):
            _write(memo, _read(memo) | {key: (listing, content)})
    return content


def remembered_hash(path: Path, memo: Path) -> str:
    """The sha256 of one file of any size, in hexadecimal, read only when it may have changed."""
    stamps = {path.name: stamp_of(path.stat())}
    return remembered(memo, f"file:{path.absolute()}", stamps, lambda: hash_large_file(path))


def _read(memo: Path) -> dict[str, tuple[str, str]]:
    try:
        entries = json.loads(memo.read_text(encoding="utf-8"))
        return {key: (str(listing), str(content)) for key, (listing, content) in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(memo: Path, entries: Mapping[str, tuple[str, str]]) -> None:
    # Several jobs may write at once: each has a part file of its own, and the last one stands.
    memo.parent.mkdir(parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=memo.parent, prefix=memo.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(entries, file, indent=1, sort_keys=True)
        Path(part).replace(memo)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise

"""Whole files and their fingerprints."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from features.errors import UserError

LOG = logging.getLogger("headstart")

FULL = {errno.ENOSPC, errno.EDQUOT}
CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Lets a file appear under its name only when it is whole.

    Args:
        path: The file to appear. Its folder is made.

    Yields:
        A path in the same folder to write to. It is renamed to `path` when the block ends, and
        removed when the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Says what to do where the disk does not take a file.

    Args:
        path: The file, for the message.

    Raises:
        UserError: The disk is full, the file too large, or its folder cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = _error_number(error)
        if number in FULL:
            free = shutil.disk_usage(next(p for p in path.absolute().parents if p.exists())).free
            raise UserError(
                f"{path}: no space left on its disk ({free / 2**20:,.0f} MiB free). What is "
                "finished is kept: make space and run again, and it goes on from there"
            ) from error
        if number == errno.EFBIG:
            raise UserError(
                f"{path}: larger than this system lets a file be (see `ulimit -f`, and the limits "
                "of its file system). What is finished is kept: raise the limit and run again"
            ) from error
        if number in CLOSED:
            raise UserError(
                f"{path}: its folder cannot be written ({os.strerror(number)}): make it writable, "
                "or run where it is"
            ) from error
        raise


def _error_number(error: OSError | RuntimeError) -> int:
    """The system's error number; HDF5 gives some in its text alone."""
    found = re.search(r"errno = (\d+)", str(error))
    return getattr(error, "errno", None) or (int(found[1]) if found else 0)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Lets one process at a time make a file; the system frees the lock of one that is killed.

    Args:
        path: The file to be made. The lock stands beside it, hidden.

    Raises:
        UserError: The folder cannot be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            LOG.info(f"another process makes {path.name}; waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        # Who still waits for it will find the file made, and so has nothing to lock any more.
        if path.exists():
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def canonical_json(fields: Mapping[str, Any]) -> str:
    """JSON that is the same text for equal fields: keys sorted, no spaces."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def fingerprint(fields: Mapping[str, Any]) -> str:
    """The sha256 of the canonical JSON of `fields`, in hexadecimal."""
    return hashlib.sha256(canonical_json(fields).encode()).hexdigest()


def file_digest(file: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

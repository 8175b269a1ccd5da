"""Whole files and their fingerprints."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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


def canonical_json(fields: Mapping[str, Any]) -> str:
    """JSON that is the same text for equal fields: keys sorted, no spaces."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def fingerprint(fields: Mapping[str, Any]) -> str:
    """The sha256 of the canonical JSON of `fields`, in hexadecimal."""
    return hashlib.sha256(canonical_json(fields).encode()).hexdigest()

"""Taking over what other files of the same backbone and images already hold."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from features.cache.layout import BLOCK, Contents, feature_names
from features.cache.reader import FeatureFile
from features.cache.writer import FeatureWriter
from features.errors import UserError

LOG = logging.getLogger("headstart")

ADDITIONS = ("views", "spatial")
"""What of a backbone's spec adds features and changes none."""


def reuse(writer: FeatureWriter, contents: Contents, path: Path) -> None:
    """Copies every finished block that another file of the same features holds.

    Such are the files of a study that asked for fewer views or layers, and the parts of a pass that
    was split otherwise, finished or not. Every block is checked as it is copied.

    Args:
        writer: The file in the making.
        contents: What it will hold.
        path: Its name when finished.
    """
    if not writer.remaining():
        return
    for other in _others(path, contents.spec):
        with other:
            copied = sum(_copy(other, name, writer, contents) for name in _shared(other, contents))
        if copied:
            LOG.info(f"{copied:,} blocks of features taken over from {other.path.name}")


def _others(path: Path, spec: Mapping[str, Any]) -> Iterator[FeatureFile]:
    """The features files of the same data set whose features have the same values."""
    folder = path.parent.parent if path.parent.suffix == ".parts" else path.parent
    wanted = _values(spec)
    patterns = ("*.h5", "*.h5.part", "*.h5.parts/*.h5", "*.h5.parts/*.h5.part")
    for file in sorted(file for pattern in patterns for file in folder.glob(pattern)):
        if file.name in (path.name, path.name + ".part") and file.parent == path.parent:
            continue
        try:
            other = FeatureFile(file)
        except UserError:
            continue
        if _values(other.spec) == wanted:
            yield other
        else:
            other.close()


def _values(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec without what only adds to it."""
    backbone = {k: v for k, v in _plain(spec["backbone"]).items() if k not in ADDITIONS}
    return {**spec, "dataset": _plain(spec["dataset"]), "backbone": backbone}


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Tuples as the lists that JSON makes of them."""

    def plain(value: Any) -> Any:
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return {key: plain(value) for key, value in fields.items()}


def _shared(other: FeatureFile, contents: Contents) -> list[str]:
    theirs = set(feature_names(other.splits, other.views, other.layers + other.spatial))
    names = feature_names(list(contents.labels), contents.views, list(contents.layers))
    return [name for name in names if name in theirs]


def _copy(other: FeatureFile, name: str, writer: FeatureWriter, contents: Contents) -> int:
    """Copies the blocks of a dataset that are finished there and missing here."""
    split, view, layer = name.split("/", 2)
    start, stop = contents.range(split)
    their_start, their_stop = other.rows[split]
    theirs = other.finished(name)
    missing = np.flatnonzero(~writer.finished(split, view, layer))
    copied = 0
    for block in missing:
        row = start + int(block) * BLOCK
        end = min(row + BLOCK, stop)
        if row < their_start or end > their_stop or not theirs[(row - their_start) // BLOCK]:
            continue
        try:
            values = other.checked_rows(name, row - their_start, end - their_start)
        except UserError as error:
            LOG.warning(f"not taken over: {error}")
            break
        writer.write(split, view, layer, int(block) * BLOCK, values)
        copied += 1
    return copied

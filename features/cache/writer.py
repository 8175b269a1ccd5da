"""Writing a features file block by block, so that a killed pass goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from features.cache.layout import (
    BLOCK,
    Array,
    Contents,
    attribute_digests,
    digest_array,
    feature_names,
    write_header,
)
from features.cache.reader import FeatureFile, record_file
from features.errors import UserError
from features.files import disk_errors, fingerprint, whole_file


class FeatureWriter:
    """A features file in the making; see `unfinished`.

    Attributes:
        found: Blocks that were there already when it was opened.
    """

    def __init__(self, part: Path, file: FeatureFile) -> None:
        """Takes a file whose header is whole, open for reading."""
        self._part = part
        self._file = file
        self._descriptor = os.open(part, os.O_RDWR)
        self._finished: dict[str, Array] = {}
        self._places: dict[str, tuple[int, int]] = {}
        for name in feature_names(file.splits, file.views, file.layers + file.spatial):
            finished = file.finished(name)
            # A computer that lost its power may have kept a checksum and lost its block.
            if finished.any():
                finished[file.damaged(name)] = False
            self._finished[name] = finished
            self._places[name] = file.offset(name), file.offset(f"checksums/{name}")
        self.found = sum(int(finished.sum()) for finished in self._finished.values())

    def finished(self, split: str, view: str, layer: str) -> Array:
        """Which blocks are written, bool (blocks,)."""
        return self._finished[f"{split}/{view}/{layer}"]

    def write(self, split: str, view: str, layer: str, start: int, values: Array) -> None:
        """Writes whole blocks, and then their checksums.

        Args:
            split: The split.
            view: The view.
            layer: The layer.
            start: The first row within this file, a multiple of `BLOCK`.
            values: (rows, ...) in the file's dtype; as many as blocks are long, but at the end.
        """
        name = f"{split}/{view}/{layer}"
        block = start // BLOCK
        row = values.nbytes // max(1, len(values))
        checksums = digest_array(name, values, self._file.rows[split][0] // BLOCK + block)
        place, checksum_place = self._places[name]
        self._put(place + start * row, np.ascontiguousarray(values))
        self._put(checksum_place + block * 32, checksums)
        self._finished[name][block : block + len(checksums)] = True

    def _put(self, offset: int, values: Array) -> None:
        data = memoryview(values.data).cast("B")
        with disk_errors(self._part):
            while data:
                written = os.pwrite(self._descriptor, data, offset)
                data, offset = data[written:], offset + written

    def remaining(self) -> int:
        """Blocks still to come."""
        return sum(int((~finished).sum()) for finished in self._finished.values())

    def finish(self, path: Path) -> None:
        """Gives the file its name, now that it is whole."""
        assert self.remaining() == 0
        with disk_errors(path):
            os.fsync(self._descriptor)
            self._part.replace(path)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)
        self._file.close()


@contextmanager
def unfinished(path: Path, contents: Contents) -> Iterator[FeatureWriter]:
    """Opens a features file to be written, with what an earlier try left of it.

    Args:
        path: The file to be; while unfinished it is `<path>.part`.
        contents: All that is known before.

    Yields:
        What to write to; call `finish` once nothing remains. Without it the unfinished file stays.

    Raises:
        UserError: The disk is full or the folder cannot be written.
    """
    part = path.with_name(path.name + ".part")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _matching(part, contents)
        if file is None:
            with whole_file(part) as new:
                write_header(new, contents)
            file = FeatureFile(part)
        writer = FeatureWriter(part, file)
    try:
        yield writer
    finally:
        writer.close()


def _matching(part: Path, contents: Contents) -> FeatureFile | None:
    """What an earlier try left, if it was after the same."""
    if not part.exists():
        return None
    try:
        file = FeatureFile(part)
    except UserError:
        return None
    found = json.loads(file._file.attrs["checksums"])
    found.pop("versions")
    try:
        same = found == attribute_digests(contents.attributes()) and all(
            np.array_equal(
                file.labels(split), contents.labels[split][slice(*contents.range(split))]
            )
            and file.ids(split) == list(contents.ids[split][slice(*contents.range(split))])
            for split in contents.labels
        )
    except UserError:
        same = False
    if not same:
        file.close()
        return None
    return file


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes down what a pass took and on what it ran, beside its file."""
    with disk_errors(path), whole_file(record_file(path)) as part:
        part.write_text(json.dumps(record, indent=1))


Split = tuple[Array, Sequence[str], Mapping[tuple[str, str], Array]]
"""Labels, ids, and the features by (view, layer)."""


def write_features(
    path: Path,
    *,
    splits: Mapping[str, Split],
    classes: Sequence[str],
    views: Sequence[str],
    spec: Mapping[str, Any],
    record: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
    dtype: str = "float16",
) -> None:
    """Writes a whole features file from arrays in memory.

    Args:
        path: The file; its name ends in the first eight digits of the spec's fingerprint.
        splits: For each split its labels, ids and features, (images, channels) each, the layers by
            depth.
        classes: The names of the classes.
        views: The views of each image.
        spec: All that decides the features' values.
        record: What the pass took and ran on.
        facts: What the data and the backbone are.
        dtype: "float16" or "float32".
    """
    assert path.stem.endswith(fingerprint(spec)[:8])
    (_, _, first), *_ = splits.values()
    contents = Contents(
        spec=spec,
        classes=classes,
        views=views,
        layers={layer: values.shape[1:] for (_, layer), values in first.items()},
        labels={split: labels for split, (labels, _, _) in splits.items()},
        ids={split: ids for split, (_, ids, _) in splits.items()},
        dtype=dtype,
        facts=facts or {},
    )
    with unfinished(path, contents) as writer:
        for split, (_, _, arrays) in splits.items():
            for (view, layer), values in arrays.items():
                writer.write(split, view, layer, 0, values.astype(dtype))
        writer.finish(path)
    write_record(path, record)

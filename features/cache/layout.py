"""What stands where in a features file, and how it is checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from features.environment import versions
from features.files import canonical_json, fingerprint

FORMAT = 2

BLOCK = 32
"""Images a block: what is finished or not, and checksummed as one."""

SPATIAL = "spatial/"
"""Begins the name of a layer that is kept unpooled."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Contents:
    """All of a features file that is known before the first image is seen.

    Attributes:
        spec: All that decides the features' values.
        classes: The names of the classes; a label is an index into them.
        views: The views of each image.
        layers: The shape of one image's features by layer, by depth; the name of one that is kept
            unpooled begins with `SPATIAL`.
        labels: int64 (images,) by split.
        ids: The images' names by split.
        dtype: "float16" or "float32".
        facts: What the data and the backbone are, for the reader; decides no value.
        rows: Of a part of a file: the first image and one after the last, by split.
    """

    spec: Mapping[str, Any]
    classes: Sequence[str]
    views: Sequence[str]
    layers: Mapping[str, tuple[int, ...]]
    labels: Mapping[str, Array]
    ids: Mapping[str, Sequence[str]]
    dtype: str = "float16"
    facts: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, tuple[int, int]] | None = None

    def range(self, split: str) -> tuple[int, int]:
        """The first image of a split that the file holds, and one after the last."""
        return self.rows[split] if self.rows else (0, len(self.labels[split]))

    def attributes(self) -> dict[str, str]:
        """The root's attributes, JSON each, apart from the versions and the checksums."""
        return {
            "format": json.dumps(FORMAT),
            "spec": canonical_json(self.spec),
            "fingerprint": json.dumps(fingerprint(self.spec)),
            "classes": json.dumps(list(self.classes)),
            "layers": json.dumps([name for name in self.layers if not name.startswith(SPATIAL)]),
            "spatial": json.dumps([name for name in self.layers if name.startswith(SPATIAL)]),
            "views": json.dumps(list(self.views)),
            "splits": json.dumps(list(self.labels)),
            "facts": canonical_json(self.facts),
            "rows": json.dumps({split: self.range(split) for split in self.labels}),
        }


def blocks(rows: int) -> int:
    """How many blocks so many rows make."""
    return -(-rows // BLOCK)


def digests(name: str, values: Array, first: int = 0) -> Iterator[bytes]:
    """The checksums of rows that begin with a block.

    Args:
        name: The dataset's, such as "train/identity/out_relu".
        values: The rows.
        first: The number of their first block.

    Yields:
        The sha256 of each block with its name and number.
    """
    for number, start in enumerate(range(0, len(values), BLOCK), first):
        block = values[start : start + BLOCK]
        digest = hashlib.sha256(f"{name}:{number}:{block.dtype.str}:".encode())
        digest.update(np.ascontiguousarray(block).data)
        yield digest.digest()


def digest_array(name: str, values: Array, first: int = 0) -> Array:
    """The same as uint8 (blocks, 32)."""
    return np.frombuffer(b"".join(digests(name, values, first)), np.uint8).reshape(-1, 32)


def attribute_digests(attributes: Mapping[str, str]) -> dict[str, str]:
    """The sha256 of each attribute with its name, in hexadecimal."""
    return {
        name: hashlib.sha256(f"{name}:{text}".encode()).hexdigest()
        for name, text in sorted(attributes.items())
    }


def feature_names(splits: Sequence[str], views: Sequence[str], layers: Sequence[str]) -> list[str]:
    """The names of the datasets of features."""
    return [f"{split}/{view}/{layer}" for split in splits for view in views for layer in layers]


def write_header(path: Path, contents: Contents) -> None:
    """Writes all of a features file but the features, for which it makes room."""
    with new_file(path, contents) as file:
        for split in contents.labels:
            start, stop = contents.range(split)
            write_rows(file, split, contents.labels[split][start:stop], contents.ids[split], start)
            for name in feature_names([split], contents.views, list(contents.layers)):
                shape = contents.layers[name.split("/", 2)[2]]
                _contiguous(file, name, (stop - start, *shape), np.dtype(contents.dtype))
                _contiguous(
                    file, f"checksums/{name}", (blocks(stop - start), 32), np.dtype(np.uint8)
                )


def new_file(path: Path, contents: Contents) -> h5py.File:
    """A file with the attributes of a features file, open for writing."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    # From HDF5 1.10 on metadata carry checksums of their own, and an attribute may be long.
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    file = h5py.File(h5py.h5f.create(bytes(path), h5py.h5f.ACC_TRUNC, creation, access))
    attributes = contents.attributes() | {"versions": canonical_json(versions())}
    attributes["checksums"] = canonical_json(attribute_digests(attributes))
    for name, text in attributes.items():
        # Of a fixed length: HDF5 keeps others in a heap without checksums, and can hang on damage.
        file.attrs[name] = _fixed([text])[0]
    return file


def _fixed(texts: Sequence[str]) -> Array:
    """Texts in UTF-8, all of the length of the longest."""
    encoded = [text.encode() for text in texts]
    length = max(map(len, encoded), default=0) or 1
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", length))


def write_rows(
    file: h5py.File, split: str, labels: Array, ids: Sequence[str], start: int = 0
) -> None:
    """Writes a split's labels and ids with their checksums.

    Args:
        file: Open for writing.
        split: The split.
        labels: Of the rows that the file holds.
        ids: Of all the split's images.
        start: The first row that the file holds.
    """
    names = _fixed(ids[start : start + len(labels)])
    for column, values in (("labels", labels.astype(np.int64)), ("ids", names)):
        name = f"{split}/{column}"
        _group(file, split).create_dataset(column, data=values)
        _group(file, f"checksums/{split}").create_dataset(
            column, data=digest_array(name, values, start // BLOCK), dtype=np.uint8
        )


def _group(file: h5py.File, name: str) -> h5py.Group:
    """A group that carries no date, so that equal files are equal bytes."""
    group: h5py.Group = file
    for part in name.split("/"):
        if part not in group:
            plan = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
            plan.set_obj_track_times(False)
            h5py.h5g.create(group.id, part.encode(), gcpl=plan)
        group = group[part]
    return group


def _contiguous(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Makes room for a dataset at a fixed place, as zeros that take no disk space yet."""
    folder, _, last = name.rpartition("/")
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.CONTIGUOUS)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plan.set_obj_track_times(False)
    h5py.h5d.create(
        _group(file, folder).id,
        last.encode(),
        h5py.h5t.py_create(dtype, logical=True),
        h5py.h5s.create_simple(shape),
        dcpl=plan,
    )

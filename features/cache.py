"""The features file: HDF5, one dataset per (split, view, layer), every block with its checksum.

    /train/labels                int64   (images,)
    /train/ids                   text    (images,)
    /train/identity/out_relu     float16 (images, channels)
    /train/mirror/out_relu       float16 (images, channels)
    /test/...

The root's attributes hold, as JSON: `spec` (all that decides a value), `classes`, `layers` (by
depth), `views` and `record` (what the pass took, on what, with which versions), and `fingerprint`,
the sha256 of the spec, whose first eight digits end the file's name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from features.errors import UserError
from features.files import canonical_json, fingerprint, whole_file

BLOCK = 1024
"""Images a block: what is read, computed, written and checksummed as one."""

FORMAT = 1


class FeatureFile:
    """A features file, open for reading. Use it as a context manager.

    Attributes:
        path: Where it is.
        spec: All that decides the features' values.
        fingerprint: The sha256 of the spec.
        classes: The names of the classes; a label is an index into them.
        layers: The layers that were read, by depth; the last is the backbone's last.
        views: The views of each image, such as "identity" and "mirror".
        splits: The splits that the data brought: "train", "test", perhaps "validation".
        record: What the pass took, where it ran and with which versions.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file and checks that it is what its name says.

        Raises:
            UserError: It is missing, truncated, foreign or renamed.
        """
        self.path = path
        if not path.is_file():
            raise UserError(f"{path}: no such features file; build it with snakemake")
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise UserError(f"{path}: not a whole HDF5 file; delete it and run again") from error
        try:
            attributes = self._file.attrs
            self.spec: dict[str, Any] = json.loads(attributes["spec"])
            self.fingerprint = str(attributes["fingerprint"])
            self.classes: list[str] = json.loads(attributes["classes"])
            self.layers: list[str] = json.loads(attributes["layers"])
            self.views: list[str] = json.loads(attributes["views"])
            self.record: dict[str, Any] = json.loads(attributes["record"])
        except (KeyError, ValueError) as error:
            self._file.close()
            raise UserError(
                f"{path}: not a features file, or its attributes are damaged; "
                "delete it and run again"
            ) from error
        self.splits: list[str] = list(self._file)
        self._check_name()

    def _check_name(self) -> None:
        """A file whose spec, fingerprint and name disagree is never read."""
        computed = fingerprint(self.spec)
        if computed != self.fingerprint or not self.path.stem.endswith(computed[:8]):
            self._file.close()
            raise UserError(
                f"{self.path}: its spec has the fingerprint {computed[:8]}, its attribute says "
                f"{self.fingerprint[:8]} and its name {self.path.stem[-8:]}; it was damaged or "
                "renamed. Delete it and run again"
            )

    def labels(self, split: str) -> np.ndarray:
        """The labels of a split, int64 (images,)."""
        return self._read(split, f"{split}/labels")

    def ids(self, split: str) -> list[str]:
        """The images' names within their dataset."""
        return [name.decode() for name in self._read(split, f"{split}/ids")]

    def array(self, split: str, view: str, layer: str) -> np.ndarray:
        """One layer's features, float16 (images, channels).

        Raises:
            UserError: There is no such split, view or layer, or a block is not as it was written.
        """
        for kind, name, known in (("view", view, self.views), ("layer", layer, self.layers)):
            if name not in known:
                raise UserError(f"{self.path}: no {kind} {name!r}; it has {', '.join(known)}")
        return self._read(split, f"{split}/{view}/{layer}")

    def _read(self, split: str, name: str) -> np.ndarray:
        if split not in self.splits:
            raise UserError(f"{self.path}: no split {split!r}; it has {', '.join(self.splits)}")
        dataset = self._file[name]
        values = np.asarray(dataset[...])
        expected = dataset.attrs["sha256"]
        for block, digest in enumerate(block_digests(values)):
            if digest != expected[block].tobytes():
                start = block * BLOCK
                raise UserError(
                    f"{self.path}: images {start} to {min(start + BLOCK, len(values)) - 1} of "
                    f"/{name} are not as they were written; delete the file and run again"
                )
        return values

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def block_digests(values: np.ndarray) -> Iterator[bytes]:
    """The sha256 of every block of `BLOCK` rows; texts count with their lengths."""
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        if block.dtype == object:
            block = np.frombuffer(b"".join(len(b).to_bytes(4) + b for b in block), np.uint8)
        yield hashlib.sha256(np.ascontiguousarray(block).data).digest()


class FeatureWriter:
    """A features file in the making; see `create`."""

    def __init__(self, file: h5py.File) -> None:
        """Takes a file that is open for writing."""
        self._file = file

    def add_split(
        self,
        split: str,
        labels: np.ndarray,
        ids: Sequence[str],
        views: Sequence[str],
        channels: Mapping[str, int],
    ) -> None:
        """Makes room for a split.

        Args:
            split: Its name.
            labels: int64 (images,).
            ids: The images' names.
            views: The views to come.
            channels: The channels of each layer to come.
        """
        group = self._file.create_group(split)
        encoded = np.array([name.encode() for name in ids], dtype=object)
        for name, values, kind in (
            ("labels", labels.astype(np.int64), np.int64),
            ("ids", encoded, h5py.string_dtype()),
        ):
            dataset = group.create_dataset(name, data=values, dtype=kind)
            digests = b"".join(block_digests(values))
            dataset.attrs["sha256"] = np.frombuffer(digests, np.uint8).reshape(-1, 32)
        for view in views:
            for layer, width in channels.items():
                dataset = group.create_dataset(
                    f"{view}/{layer}", (len(labels), width), dtype=np.float16
                )
                blocks = -(-len(labels) // BLOCK)
                dataset.attrs["sha256"] = np.zeros((blocks, 32), np.uint8)

    def write(self, split: str, view: str, layer: str, block: int, values: np.ndarray) -> None:
        """Writes one block, float16 (images of the block, channels), and its checksum."""
        dataset = self._file[f"{split}/{view}/{layer}"]
        dataset[block * BLOCK : block * BLOCK + len(values)] = values
        digests = dataset.attrs["sha256"]
        digests[block] = np.frombuffer(next(block_digests(values)), np.uint8)
        dataset.attrs["sha256"] = digests

    def finish(self, record: Mapping[str, Any]) -> None:
        """Adds what the pass took and ran on."""
        self._file.attrs["record"] = json.dumps(record)


@contextmanager
def create(
    path: Path,
    spec: Mapping[str, Any],
    classes: Sequence[str],
    layers: Sequence[str],
    views: Sequence[str],
) -> Iterator[FeatureWriter]:
    """Creates a features file, which appears under its name only when whole.

    Args:
        path: The file; its name ends in the first eight digits of the spec's fingerprint.
        spec: All that decides the features' values.
        classes: The names of the classes.
        layers: The layers by depth, the backbone's last at the end.
        views: The views of each image.

    Yields:
        What to write the splits and blocks to; call its `finish` last.
    """
    # From HDF5 1.10 on an attribute may be as long as the checksums of millions of images.
    with whole_file(path) as part, h5py.File(part, "w", libver=("v110", "v110")) as file:
        file.attrs["format"] = FORMAT
        file.attrs["spec"] = canonical_json(spec)
        file.attrs["fingerprint"] = fingerprint(spec)
        file.attrs["classes"] = json.dumps(list(classes))
        file.attrs["layers"] = json.dumps(list(layers))
        file.attrs["views"] = json.dumps(list(views))
        yield FeatureWriter(file)


Split = tuple[np.ndarray, Sequence[str], Mapping[tuple[str, str], np.ndarray]]
"""Labels, ids, and the features by (view, layer)."""


def write_features(
    path: Path,
    *,
    splits: Mapping[str, Split],
    classes: Sequence[str],
    layers: Sequence[str],
    views: Sequence[str],
    spec: Mapping[str, Any],
    record: Mapping[str, Any],
) -> None:
    """Writes a whole features file from arrays in memory.

    Args:
        path: The file; its name ends in the first eight digits of the spec's fingerprint.
        splits: For each split its labels, ids and features, (images, channels) each.
        classes: The names of the classes.
        layers: The layers by depth, the backbone's last at the end.
        views: The views of each image.
        spec: All that decides the features' values.
        record: What the pass took and ran on.
    """
    with create(path, spec, classes, layers, views) as writer:
        for split, (labels, ids, arrays) in splits.items():
            channels = {layer: arrays[views[0], layer].shape[1] for layer in layers}
            writer.add_split(split, labels, ids, views, channels)
            for (view, layer), values in arrays.items():
                for block in range(-(-len(labels) // BLOCK)):
                    rows = values[block * BLOCK : (block + 1) * BLOCK].astype(np.float16)
                    writer.write(split, view, layer, block, rows)
        writer.finish(record)

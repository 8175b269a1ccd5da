"""Reading a features file."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import h5py
import numpy as np

from features.cache.layout import (
    BLOCK,
    FORMAT,
    Array,
    attribute_digests,
    blocks,
    digest_array,
    feature_names,
)
from features.errors import UserError
from features.files import fingerprint

if TYPE_CHECKING:
    import dask.array

DAMAGED = "delete the file and run again"
DASK_BYTES = 32 * 2**20
"""What a block of a dask array takes in memory, about."""


class FeatureFile:
    """A features file, open for reading. Use it as a context manager.

    Attributes:
        path: Where it is.
        spec: All that decides the features' values.
        fingerprint: The sha256 of the spec.
        classes: The names of the classes; a label is an index into them.
        layers: The pooled layers, by depth; the last is the backbone's last.
        spatial: The layers that are kept unpooled, "spatial/" and the name each.
        views: The views of each image, such as "identity" and "mirror".
        splits: "train", "test", perhaps "validation"; of a further test set only "test".
        facts: What the data and the backbone are.
        parts: How many files it is made of by a virtual dataset; 1 where it is one piece.
        record: The facts, and what the pass took, where it ran and with which versions, as far as
            `<file>.json` still stands beside the file.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file and checks that it is what its name says.

        Raises:
            UserError: It is missing, truncated, damaged, foreign or renamed.
        """
        self.path = path.resolve()
        if not path.is_file():
            raise UserError(f"{path}: no such features file; build it with snakemake")
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise UserError(
                f"{path}: not a whole HDF5 file: cut short, or its head is damaged; {DAMAGED}"
            ) from error
        try:
            self._read_attributes()
            self._check_name()
            self.parts = self._parts()
        except BaseException:
            self._file.close()
            raise
        self._verified: dict[str, Array] = {}

    def _read_attributes(self) -> None:
        try:
            texts = {name: text.decode() for name, text in self._file.attrs.items()}
        except (OSError, RuntimeError, KeyError, ValueError, AttributeError) as error:
            raise UserError(f"{self.path}: its attributes are damaged; {DAMAGED}") from error
        expected = texts.pop("checksums", "")
        try:
            checksums = json.loads(expected)
            format = json.loads(texts["format"])
        except (KeyError, ValueError) as error:
            raise UserError(
                f"{self.path}: not a features file of this version, or its attributes `format` and "
                f"`checksums` are damaged; {DAMAGED}"
            ) from error
        if format != FORMAT:
            raise UserError(
                f"{self.path}: a features file of format {format}, and this version of Headstart "
                f"reads format {FORMAT}; {DAMAGED}"
            )
        found = attribute_digests(texts)
        wrong = sorted(n for n in {*found, *checksums} if found.get(n) != checksums.get(n))
        if wrong:
            raise UserError(
                f"{self.path}: its attribute {', '.join(wrong)} is not as it was written; {DAMAGED}"
            )
        fields = {name: json.loads(text) for name, text in texts.items()}
        self.spec: dict[str, Any] = fields["spec"]
        self.fingerprint: str = fields["fingerprint"]
        self.classes: list[str] = fields["classes"]
        self.layers: list[str] = fields["layers"]
        self.spatial: list[str] = fields["spatial"]
        self.views: list[str] = fields["views"]
        self.splits: list[str] = fields["splits"]
        self.rows: dict[str, tuple[int, int]] = {k: (a, b) for k, (a, b) in fields["rows"].items()}
        self.facts: dict[str, Any] = fields["facts"]
        self.record = self.facts | {"versions": fields["versions"]} | read_record(self.path)

    def _check_name(self) -> None:
        """A file whose spec, fingerprint and name disagree is never read."""
        computed = fingerprint(self.spec)
        named = own_name(self.path)
        if computed != self.fingerprint or named != computed[:8]:
            raise UserError(
                f"{self.path}: its spec has the fingerprint {computed[:8]}, its attribute says "
                f"{self.fingerprint[:8]} and its name {named}; it was damaged or renamed; {DAMAGED}"
            )

    def _parts(self) -> int:
        datasets = [
            self._dataset(name)
            for name in feature_names(self.splits, self.views, self.layers + self.spatial)
        ]
        files = {
            source.file_name
            for dataset in datasets
            if dataset.is_virtual
            for source in dataset.virtual_sources()
        }
        # A part of no image is none of the sources, but its name says of how many it is one.
        return int(files.pop().rpartition("-of-")[2].removesuffix(".h5")) if files else 1

    def images(self, split: str) -> int:
        """How many images a split has; its labels stay unread."""
        self._check_split(split)
        return self.shape(f"{split}/labels")[0]

    def labels(self, split: str) -> Array:
        """The labels of a split, int64 (images,)."""
        return self._read(split, "labels")

    def ids(self, split: str) -> list[str]:
        """The images' names within their dataset."""
        return [name.decode() for name in self._read(split, "ids")]

    def array(self, split: str, view: str, layer: str) -> Array:
        """One layer's features, every block checked.

        Args:
            split: One of `splits`.
            view: One of `views`.
            layer: One of `layers` or of `spatial`.

        Returns:
            float16 or float32, (images, channels), of a spatial layer (images, height, width,
            channels). Memory-mapped and read-only; of a file made in several parts, in memory.

        Raises:
            UserError: There is no such split, view or layer, or a block is not as it was written.
        """
        return self._read(split, self._named(view, layer))

    def dask(self, split: str, view: str, layer: str) -> dask.array.Array:
        """The same as a dask array; the process that computes a block reads and checks it.

        Raises:
            UserError: There is no such split, view or layer.
        """
        import dask.array as da

        self._check_split(split)
        name = f"{split}/{self._named(view, layer)}"
        shape, dtype = self.shape(name), self.dtype(name)
        row = int(np.prod(shape[1:])) * dtype.itemsize
        rows = max(1, DASK_BYTES // (row * BLOCK)) * BLOCK
        blocks_of: dask.array.Array = da.map_blocks(  # type: ignore[no-untyped-call]
            _rows_of,
            str(self.path),
            name,
            rows,
            chunks=((*_steps(shape[0], rows),), *((side,) for side in shape[1:])),
            dtype=dtype,
            meta=np.empty((0,) * len(shape), dtype),
        )
        return blocks_of

    def names(self) -> list[str]:
        """The names of all datasets with checksums: labels, ids and features."""
        columns = [f"{split}/{column}" for split in self.splits for column in ("labels", "ids")]
        return columns + feature_names(self.splits, self.views, self.layers + self.spatial)

    def damaged(self, name: str) -> list[int]:
        """The numbers of the blocks of a dataset that are not as they were written."""
        split = name.partition("/")[0]
        first = self.rows[split][0] // BLOCK
        try:
            values = self._values(name)
            expected = np.asarray(self._dataset(f"checksums/{name}"))
            right = digest_array(name, values, first)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise UserError(f"{self.path}: /{name} cannot be read ({error}); {DAMAGED}") from error
        if right.shape != expected.shape:
            raise UserError(f"{self.path}: /{name} has lost its checksums; {DAMAGED}")
        return [int(block) for block in np.flatnonzero((right != expected).any(axis=1))]

    def blocks(self, name: str) -> int:
        """How many blocks a dataset has."""
        return blocks(self.shape(name)[0])

    def finished(self, name: str) -> Array:
        """Which blocks of a dataset are written, bool (blocks,); all of a whole file's."""
        written: Array = np.any(self._dataset(f"checksums/{name}"), axis=1)
        return written

    def rows_of(self, name: str, start: int, stop: int) -> Array:
        """Some rows of a dataset, unchecked."""
        return np.asarray(self._values(name)[start:stop])

    def checked_rows(self, name: str, start: int, stop: int) -> Array:
        """Some rows, from the start of a block on, every block checked."""
        values = self.rows_of(name, start, stop)
        block = start // BLOCK
        expected = self._dataset(f"checksums/{name}")[block : block + blocks(len(values))]
        found = digest_array(name, values, self.rows[name.partition("/")[0]][0] // BLOCK + block)
        wrong = np.flatnonzero((found != expected).any(axis=1))
        if len(wrong):
            raise self._damage(name, block + int(wrong[0]))
        return values

    def bytes(self) -> int:
        """What the file and its parts take on disk."""
        files = [self.path, *(parts_folder(self.path).glob("*.h5") if self.parts > 1 else [])]
        return sum(file.stat().st_size for file in files)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a dataset."""
        shape: tuple[int, ...] = self._dataset(name).shape
        return shape

    def dtype(self, name: str) -> np.dtype[Any]:
        """The dtype of a dataset."""
        dtype: np.dtype[Any] = self._dataset(name).dtype
        return dtype

    def offset(self, name: str) -> int:
        """Where a contiguous dataset begins in the file, in bytes."""
        place: int | None = self._dataset(name).id.get_offset()
        return place or 0

    def _named(self, view: str, layer: str) -> str:
        for kind, name, known in (
            ("view", view, self.views),
            ("layer", layer, self.layers + self.spatial),
        ):
            if name not in known:
                raise UserError(f"{self.path}: no {kind} {name!r}; it has {', '.join(known)}")
        return f"{view}/{layer}"

    def _check_split(self, split: str) -> None:
        if split not in self.splits:
            raise UserError(f"{self.path}: no split {split!r}; it has {', '.join(self.splits)}")

    def _read(self, split: str, column: str) -> Array:
        self._check_split(split)
        name = f"{split}/{column}"
        if name not in self._verified:
            wrong = self.damaged(name)
            if wrong:
                raise self._damage(name, wrong[0])
            self._verified[name] = self._values(name)
        return self._verified[name]

    def _dataset(self, name: str) -> h5py.Dataset:
        try:
            dataset = self._file[name]
            dataset.dtype  # noqa: B018 - HDF5 reads a dataset's own head only when asked
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"{self.path}: /{name} cannot be read ({error}); {DAMAGED}") from error
        if not isinstance(dataset, h5py.Dataset):
            raise UserError(f"{self.path}: /{name} is no array; {DAMAGED}")
        return dataset

    def _values(self, name: str) -> Array:
        """A dataset, memory-mapped where it is one piece of this file."""
        dataset = self._dataset(name)
        place = dataset.id.get_offset()
        if place is None or 0 in dataset.shape:
            return np.asarray(dataset[...])
        return np.memmap(self.path, dataset.dtype, "r", place, dataset.shape)

    def _damage(self, name: str, block: int) -> UserError:
        if not self.finished(name)[block] and self._dataset(name).is_virtual:
            return UserError(
                f"{self.path}: a part of /{name} is missing from {parts_folder(self.path)}; "
                "put it back, or delete both and run again"
            )
        start = block * BLOCK
        stop = min(start + BLOCK, self.shape(name)[0])
        return UserError(
            f"{self.path}: images {start} to {stop - 1} of /{name} are not as they were written; "
            f"{DAMAGED}"
        )

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


def own_name(path: Path) -> str:
    """The first digits of the fingerprint by the name of a file, or of the file it is a part of."""
    file = path.parent if path.parent.suffix == ".parts" else path
    return file.name.partition(".h5")[0][-8:]


def parts_folder(path: Path) -> Path:
    """Where the parts of a features file are, if it was made in parts."""
    return path.with_name(path.name + ".parts")


def record_file(path: Path) -> Path:
    """Where it says what a pass took, and on what it ran."""
    return path.with_name(path.name + ".json")


def read_record(path: Path) -> dict[str, Any]:
    """What a pass took, and on what it ran; empty where that file is gone."""
    try:
        record: dict[str, Any] = json.loads(record_file(path).read_text())
    except (OSError, ValueError):
        return {}
    return record


def _steps(total: int, step: int) -> list[int]:
    return [min(step, total - start) for start in range(0, total, step)] or [0]


def _rows_of(path: str, name: str, rows: int, block_info: Any = None) -> Array:
    """A block of a dask array, in whichever process."""
    start, stop = block_info[None]["array-location"][0]
    with FeatureFile(Path(path)) as file:
        return file.checked_rows(name, start, stop)

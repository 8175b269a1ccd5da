"""The dataset file: which images stand in which split, with their labels.

HDF5. Arrays of images are in it, contiguous. Of the image files in a folder only the names, sizes
and hashes are; the files are read from there. The files of an archive are in it as they are, since
an archive cannot be read in any order. Attributes: `format`, `spec` (JSON), `fingerprint` (of the
spec), `classes` (JSON), `broken` (JSON). A group a split, with `labels` (int32), `ids` (text) and

- of arrays: `images` (uint8: images, height, width, 3);
- of files: `sizes` (int32: images, height and width) and `sha256` (uint8: images, 32);
- of files in an archive also: `encoded` (uint8: the files' bytes, one file behind the other) and
  `ends` (int64: where each ends).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict

import h5py
import numpy as np
from numpy.typing import NDArray

from features.datasets.hashing import read_bytes
from features.datasets.image import decode
from features.datasets.layout import SPLITS
from features.datasets.spec import DatasetSpec
from features.errors import UserError
from features.files import fingerprint, whole_file
from features.progress import progress

FORMAT = "headstart dataset 1"
# A tiny image costs less than the hand-over to a thread, so a thread takes a few at once.
FILES_PER_TASK = 4
FILES_PER_WRITE = 64


class Broken(TypedDict):
    """A broken image file that was skipped: its id, and why it is broken."""

    file: str
    reason: str


@dataclass(frozen=True)
class Split:
    """What is written of one split.

    Attributes:
        labels: int32, shape (n,).
        ids: n names.
        shape: (n, height, width, 3) of the images, where they are arrays.
        blocks: The images in blocks of uint8, shape (any, height, width, 3).
        files: `sizes` and `sha256`, where they are files; `ends` too, where they are in an archive.
        encoded: The files' bytes, where they are in an archive.
    """

    labels: NDArray[np.int32]
    ids: Sequence[str]
    shape: tuple[int, int, int, int] | None = None
    blocks: Iterable[NDArray[np.uint8]] = ()
    files: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    encoded: Iterable[bytes] | None = None


def write_dataset(
    output: Path,
    spec: DatasetSpec,
    classes: Sequence[str],
    splits: Mapping[str, Split],
    broken: Sequence[Broken] = (),
) -> None:
    """Writes a dataset file; it appears only when it is whole.

    Args:
        output: The file.
        spec: The data set.
        classes: The names of the classes, by label.
        splits: What stands in each split.
        broken: The image files that were skipped.
    """
    fields = asdict(spec)
    with whole_file(output) as part, h5py.File(part, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["spec"] = json.dumps(fields, sort_keys=True)
        file.attrs["fingerprint"] = fingerprint(fields)
        file.attrs["classes"] = json.dumps(list(classes))
        file.attrs["broken"] = json.dumps(list(broken))
        for name, split in splits.items():
            group = file.create_group(name)
            group["labels"] = split.labels.astype(np.int32)
            group.create_dataset("ids", data=list(split.ids), dtype=h5py.string_dtype())
            for column, values in split.files.items():
                group[column] = values
            if split.shape:
                images = group.create_dataset("images", split.shape, np.uint8)
                with progress(split.shape[0], f"writing the {name} images") as advance:
                    at = 0
                    for block in split.blocks:
                        images[at : at + len(block)] = block
                        at += len(block)
                        advance(len(block))
            if split.encoded is not None:
                _write_encoded(group, split.encoded)


def _write_encoded(group: h5py.Group, encoded: Iterable[bytes]) -> None:
    data = group.create_dataset("encoded", (group["ends"][-1],), np.uint8)
    files = iter(encoded)
    at = 0
    while block := b"".join(islice(files, FILES_PER_WRITE)):
        data[at : at + len(block)] = np.frombuffer(block, np.uint8)
        at += len(block)


def open_images(dataset_file: Path, root: Path | None) -> Images:
    """Opens a dataset file.

    Args:
        dataset_file: Written by `prepare`.
        root: The folder that the images come from, where they are files in a folder.

    Returns:
        The images, a context manager.

    Raises:
        UserError: The file is missing, damaged or no dataset file, or the folder does not hold its
            images.
    """
    try:
        file = h5py.File(dataset_file, "r")
    except OSError as error:
        raise UserError(
            f"{dataset_file} cannot be read as a dataset file: {error}. Delete it and run again; "
            "it is made anew."
        ) from error
    try:
        if file.attrs.get("format") != FORMAT:
            raise UserError(
                f"{dataset_file} is no dataset file of this version of Headstart. Delete it and "
                "run again; it is made anew."
            )
        return Images(file, _folder(file, dataset_file, root))
    except BaseException:
        file.close()
        raise


def _folder(file: h5py.File, dataset_file: Path, root: Path | None) -> Path | None:
    """The folder below which the ids are the paths of the image files."""
    split = next(file[name] for name in SPLITS if name in file)
    if "images" in split or "encoded" in split:
        return None
    first = split["ids"].asstr()[0]
    if root and root.is_dir():
        # As when it was prepared, a single folder around all is looked through.
        inside = (entry for entry in root.iterdir() if entry.is_dir())
        for base in (root, *inside):
            if (base / first).is_file():
                return base
    raise UserError(
        f"The images of {dataset_file} are not in {root}: {first!r} is missing. Put them back, or "
        "delete the dataset file and run again."
    )


class Images:
    """The images of a data set, split by split, always in the same order.

    Attributes:
        classes: The names of the classes, by label.
        splits: "train", "validation" (only where the data brings one) and "test"; of a further test
            set only "test".
        spec: The fields of the `DatasetSpec`.
        fingerprint: Of the spec.
        broken: The image files that were skipped, each with its reason.
    """

    def __init__(self, file: h5py.File, folder: Path | None) -> None:
        """Takes an open dataset file, and the folder of the image files if they are files."""
        self._file = file
        self._folder = folder
        self._pool = ThreadPoolExecutor()
        self._ids: dict[str, list[str]] = {}
        self.classes: list[str] = json.loads(file.attrs["classes"])
        self.spec: dict[str, Any] = json.loads(file.attrs["spec"])
        self.fingerprint: str = file.attrs["fingerprint"]
        self.broken: list[Broken] = json.loads(file.attrs["broken"])
        self.splits: list[str] = [split for split in SPLITS if split in file]

    def __enter__(self) -> Images:
        """Nothing to do: the file is open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self._pool.shutdown(cancel_futures=True)
        self._file.close()

    def labels(self, split: str) -> NDArray[np.int32]:
        """The labels of a split's images, indices into `classes`, shape (n,)."""
        labels: NDArray[np.int32] = self._file[split]["labels"][()]
        return labels

    def ids(self, split: str) -> list[str]:
        """The names of a split's images: paths in the folder, or places in the array."""
        if split not in self._ids:
            self._ids[split] = self._file[split]["ids"].asstr()[()].tolist()
        return self._ids[split]

    def common_size(self) -> tuple[int, int] | None:
        """Height and width of all images in pixels, or None where they differ."""
        sizes = self._sizes()
        return sizes.pop() if len(sizes) == 1 else None

    def largest(self) -> int:
        """The pixels of the largest image."""
        return max(height * width for height, width in self._sizes())

    def _sizes(self) -> set[tuple[int, int]]:
        """Every height and width that occurs."""
        sizes: set[tuple[int, int]] = set()
        for split in self.splits:
            group = self._file[split]
            if "images" in group:
                sizes.add(group["images"].shape[1:3])
            else:
                sizes.update(map(tuple, np.unique(group["sizes"][()], axis=0).tolist()))
        return sizes

    def read(
        self, split: str, start: int, stop: int
    ) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        """The images from `start` to before `stop`, as far as there are any.

        Args:
            split: One of `splits`.
            start: The first image.
            stop: One after the last image.

        Returns:
            RGB, 0 to 255: one array of shape (images, height, width, 3), or a list of arrays of
            shape (height, width, 3) where their sizes differ.

        Raises:
            UserError: An image file is gone, changed or broken.
        """
        group = self._file[split]
        if "images" in group:
            block: NDArray[np.uint8] = group["images"][start:stop]
            return block
        names = self.ids(split)[start:stop]
        hashes = group["sha256"][start:stop]
        read = self._folder_reader(names) if self._folder else _archive_reader(group, start, stop)

        def task(first: int) -> list[NDArray[np.uint8]]:
            rows = range(first, min(first + FILES_PER_TASK, len(names)))
            return [_checked(names[row], read(row), hashes[row]) for row in rows]

        starts = range(0, len(names), FILES_PER_TASK)
        images = [image for part in self._pool.map(task, starts) for image in part]
        sizes = group["sizes"][start:stop]
        return images if not images or (sizes != sizes[0]).any() else np.stack(images)

    def _folder_reader(self, names: Sequence[str]) -> Callable[[int], bytes]:
        folder = self._folder
        assert folder is not None
        return lambda row: read_bytes(folder / names[row])


def _archive_reader(group: h5py.Group, start: int, stop: int) -> Callable[[int], bytes]:
    """Reads the files from `start` to `stop` at once; gives one by its place among them."""
    ends = group["ends"][start:stop]
    first = group["ends"][start - 1] if start and len(ends) else 0
    data = group["encoded"][first : ends[-1]].tobytes() if len(ends) else b""
    edges = [0, *(ends - first).tolist()]
    return lambda row: data[edges[row] : edges[row + 1]]


def _checked(name: str, data: bytes, sha256: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if hashlib.sha256(data).digest() != sha256.tobytes():
        raise UserError(f"{name} changed while the study was running. Start it again.")
    try:
        return decode(data)
    except ValueError as error:
        raise UserError(f"{name} is broken: {error}. Remove it and start again.") from error

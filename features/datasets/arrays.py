"""Images as arrays, in an .npz or an HDF5 file."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from features.datasets.file import Split, write_dataset
from features.datasets.hashing import hash_large_file
from features.datasets.layout import SPLITS, listed
from features.datasets.memo import remembered, stamp_of
from features.datasets.spec import DatasetSpec
from features.datasets.splits import choose
from features.errors import UserError

BLOCK_BYTES = 1 << 26
KEYS = "x_train, y_train, x_test, y_test (and x_validation, y_validation), or x and y"
READ_ERRORS = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class ArraySplit:
    """The images of one split of the data.

    Attributes:
        where: What messages call the images.
        labels: Indices into the classes, int32, shape (n,).
        shape: Of the images, starting with (n, height, width).
        load: Gives the images: uint8, an array or HDF5 dataset that can be sliced.
    """

    where: str
    labels: NDArray[np.int32]
    shape: tuple[int, ...]
    load: Callable[[], Any]


@dataclass(frozen=True)
class Arrays:
    """A data set of arrays. The splits of one that is not split yet are only "train"."""

    classes: list[str]
    splits: dict[str, ArraySplit]
    has_splits: bool


@dataclass(frozen=True)
class Entry:
    """An array in a file: what its header says, and what reads it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[], Any]


def identify(source: str, path: Path, memo: Path, only_test: bool = False) -> str:
    """The identity of a file of arrays: the sha256 of its bytes.

    All but the pixels is checked before.

    Args:
        source: "npz" or "hdf5".
        path: The file.
        memo: Where hashes are remembered.
        only_test: Whether it is a further test set.

    Returns:
        A sha256 in hexadecimal.

    Raises:
        UserError: The file is missing or unreadable, or its arrays make no data set.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file. dataset.path names the {source} file.")

    def compute() -> str:
        with opened(source, path, only_test):
            pass
        return hash_large_file(path)

    key = f"{source}:{path.absolute()}"
    # A file whose hash is remembered is not checked again, and a test set is checked for less.
    key = f"test {key}" if only_test else key
    return remembered(memo, key, {path.name: stamp_of(path.stat())}, compute)


@contextmanager
def opened(source: str, path: Path, only_test: bool = False) -> Iterator[Arrays]:
    """Opens an .npz or HDF5 file and checks all but its pixels.

    Args:
        source: "npz" or "hdf5".
        path: The file.
        only_test: Whether it is a further test set: it needs no train split, and its classes may
            be few or without images.

    Yields:
        The data set; its images can be loaded while the block lasts.

    Raises:
        UserError: The file is unreadable, or its arrays make no data set.
    """
    entries = _npz_entries if source == "npz" else _hdf5_entries
    with entries(path) as found:
        yield _data(path, found, only_test)


def prepare(spec: DatasetSpec, data: Arrays, output: Path) -> None:
    """Draws the splits and writes the dataset file, block by block.

    Args:
        spec: The data set.
        data: Its arrays.
        output: The dataset file.

    Raises:
        UserError: A class has too few images for the draw.
    """
    picks = choose({name: one.labels for name, one in data.splits.items()}, data.classes, spec)
    splits = {}
    for name, pick in picks.items():
        source = data.splits[pick.source]
        # Places in the data, with zeros in front so that their order as text is their order.
        prefix = f"{pick.source}/" if data.has_splits else ""
        digits = len(str(len(source.labels) - 1))
        splits[name] = Split(
            source.labels[pick.rows],
            [f"{prefix}{row:0{digits}d}" for row in pick.rows],
            shape=(len(pick.rows), source.shape[1], source.shape[2], 3),
            blocks=_rgb_blocks(source, pick.rows),
        )
    write_dataset(output, spec, data.classes, splits)


def in_memory(
    classes: Sequence[str],
    splits: Mapping[str, tuple[NDArray[np.uint8], NDArray[Any]]],
    has_splits: bool = True,
) -> Arrays:
    """A data set of arrays that are in memory: images and labels of each split."""
    return Arrays(
        list(classes),
        {
            name: ArraySplit(name, labels.astype(np.int32), images.shape, partial(_same, images))
            for name, (images, labels) in splits.items()
        },
        has_splits,
    )


def _same(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return images


def _rgb_blocks(source: ArraySplit, rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    """The chosen images (rows ascending) as RGB, reading the whole front to back."""
    images = source.load()
    step = max(1, BLOCK_BYTES // max(1, int(np.prod(source.shape[1:]))))
    for start in range(0, len(source.labels), step):
        first, last = np.searchsorted(rows, (start, start + step))
        if first == last:
            continue
        try:
            block = images[start : start + step][rows[first:last] - start]
        except OSError as error:
            raise UserError(f"{source.where} cannot be read: {error}.") from error
        if block.ndim == 3:
            block = block[..., np.newaxis]
        yield np.broadcast_to(block, (*block.shape[:3], 3))


@contextmanager
def _npz_entries(path: Path) -> Iterator[dict[str, Entry]]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {
                name.removesuffix(".npy"): Entry(
                    *_npy_header(archive, name), partial(_npz_array, path, name)
                )
                for name in archive.namelist()
            }
    except READ_ERRORS as error:
        raise UserError(f"{path} cannot be read as .npz: {error}.") from error
    yield entries


def _npy_header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
    return shape, dtype


def _npz_array(path: Path, name: str) -> NDArray[Any]:
    key = name.removesuffix(".npy")
    try:
        with np.load(path, allow_pickle=False) as archive:
            array: NDArray[Any] = archive[key]
            return array
    except READ_ERRORS as error:
        raise UserError(f"{path}: {key} cannot be read: {error}.") from error


@contextmanager
def _hdf5_entries(path: Path) -> Iterator[dict[str, Entry]]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path} cannot be read as HDF5: {error}.") from error
    with file:
        entries = {}
        for key in file:
            link = file.get(key, getlink=True)
            item = None if isinstance(link, h5py.ExternalLink) else file.get(key)
            if not isinstance(item, h5py.Dataset):
                continue
            if item.is_virtual or item.external:
                raise UserError(
                    f"{path}: {key} takes its data from other files. Store it in the file itself."
                )
            text = h5py.check_string_dtype(item.dtype)
            dtype = np.dtype(str) if text else item.dtype
            entries[key] = Entry(item.shape or (), dtype, _hdf5_loader(item, bool(text)))
        yield entries


def _hdf5_loader(item: h5py.Dataset, is_text: bool) -> Callable[[], Any]:
    return (lambda: item.asstr()[()]) if is_text else (lambda: item)


def _data(path: Path, found: Mapping[str, Entry], only_test: bool) -> Arrays:
    _check_keys(path, found, only_test)
    has_splits = "x" not in found
    suffixes = (
        {split: f"_{split}" for split in SPLITS if f"x_{split}" in found}
        if has_splits
        else {"train": ""}
    )
    shapes = {}
    raw = {}
    for split, suffix in suffixes.items():
        images = found["x" + suffix]
        shapes[split] = _check_images(path, "x" + suffix, images)
        raw[split] = _labels(path, "y" + suffix, found["y" + suffix])
        if len(raw[split]) != images.shape[0]:
            raise UserError(
                f"{path}: x{suffix} has {images.shape[0]:,} images and y{suffix} "
                f"{len(raw[split]):,} labels."
            )
    if "classes" in found:
        classes = _classes(path, found["classes"])
    else:
        numbers = np.unique(np.concatenate(list(raw.values())) if only_test else raw["train"])
        classes = [str(number) for number in numbers]
        for split in raw:
            unknown = np.setdiff1d(raw[split], numbers)
            if unknown.size:
                raise UserError(
                    f"{path}: y{suffixes[split]} has the labels {listed(unknown.tolist())}, which "
                    f"y{suffixes['train']} lacks."
                )
            raw[split] = np.searchsorted(numbers, raw[split])
    _check_names(path, raw, suffixes, classes)
    if not only_test:
        _check_train(path, raw["train"], suffixes["train"], classes)
    return Arrays(
        classes,
        {
            split: ArraySplit(
                f"{path}: x{suffixes[split]}",
                raw[split].astype(np.int32),
                shapes[split],
                found["x" + suffixes[split]].load,
            )
            for split in suffixes
        },
        has_splits,
    )


def _check_keys(path: Path, found: Mapping[str, Entry], only_test: bool) -> None:
    known = ["", *(f"_{split}" for split in SPLITS)]
    odd = [key for key in found if re.match("[xy](_|$)", key) and key[1:] not in known]
    if odd:
        raise UserError(f"{path}: unknown keys {listed(odd)}. The keys are {KEYS}.")
    suffixes = {suffix for suffix in known if f"x{suffix}" in found or f"y{suffix}" in found}
    if suffixes != {""} and not only_test:
        suffixes.add("_train")
    elif not suffixes:
        suffixes.add("_test")
    missing = [key + suffix for suffix in sorted(suffixes) for key in "xy"]
    missing = [key for key in missing if key not in found]
    if missing:
        has = f"it has {listed(sorted(found))}" if found else "it is empty"
        raise UserError(f"{path}: missing {listed(missing)}; {has}. The keys are {KEYS}.")
    if "" in suffixes and len(suffixes) > 1:
        split = next(split for split in SPLITS if f"_{split}" in suffixes)
        raise UserError(f"{path}: x and y stand beside x_{split} and y_{split}. Keep one pair.")


def _check_images(path: Path, key: str, images: Entry) -> tuple[int, ...]:
    shape = images.shape
    if images.dtype != np.uint8:
        raise UserError(
            f"{path}: {key} has dtype {images.dtype}. Store the images as uint8, 0 to 255."
        )
    if len(shape) == 4 and shape[3] not in (1, 3) and shape[1] in (1, 3):
        hint = " The channels come last: transpose it."
    elif len(shape) == 4 and shape[3] == 4:
        hint = " An alpha channel is not read: compose the images on a background."
    else:
        hint = ""
    if not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))):
        raise UserError(
            f"{path}: {key} has shape {shape}. It must be (images, height, width), "
            f"(images, height, width, 1) or (images, height, width, 3).{hint}"
        )
    if 0 in shape:
        raise UserError(f"{path}: {key} has shape {shape}: there is no image in it.")
    return shape


def _labels(path: Path, key: str, labels: Entry) -> NDArray[np.int64]:
    if labels.dtype.kind not in "iu":
        raise UserError(
            f"{path}: {key} has dtype {labels.dtype}. Labels are integers from 0; names of classes "
            "go into the array classes."
        )
    if len(labels.shape) != 1 and not (len(labels.shape) == 2 and labels.shape[1] == 1):
        raise UserError(
            f"{path}: {key} has shape {labels.shape}. It must be (images,): one integer an image."
        )
    try:
        values = np.asarray(labels.load()).reshape(-1)
    except OSError as error:
        raise UserError(f"{path}: {key} cannot be read: {error}.") from error
    if values.size and (values.min() < 0 or values.max() > np.iinfo(np.int32).max):
        raise UserError(
            f"{path}: {key} has the label {values[(values < 0) | (values >= 1 << 31)][0]}. Labels "
            "are integers from 0."
        )
    return values.astype(np.int64)


def _classes(path: Path, names: Entry) -> list[str]:
    if names.dtype.kind not in "US" or len(names.shape) != 1:
        raise UserError(
            f"{path}: classes has dtype {names.dtype} and shape {names.shape}. It must be a list "
            "of texts, one a class."
        )
    classes = [
        name.decode() if isinstance(name, bytes) else str(name) for name in names.load().tolist()
    ]
    if len(set(classes)) < len(classes):
        twice = sorted({name for name in classes if classes.count(name) > 1})
        raise UserError(f"{path}: classes names {listed(twice)} more than once.")
    return classes


def _check_names(
    path: Path,
    labels: Mapping[str, NDArray[np.int64]],
    suffixes: Mapping[str, str],
    classes: Sequence[str],
) -> None:
    for split, values in labels.items():
        if values.max() >= len(classes):
            raise UserError(
                f"{path}: y{suffixes[split]} has the label {values.max()}, but classes names only "
                f"{len(classes)} (0 to {len(classes) - 1})."
            )


def _check_train(
    path: Path, labels: NDArray[np.int64], suffix: str, classes: Sequence[str]
) -> None:
    empty = [name for label, name in enumerate(classes) if not (labels == label).any()]
    if empty:
        raise UserError(
            f"{path}: no image in x{suffix} of the classes {listed(empty)}. Add some, "
            "or leave these classes out."
        )
    if len(classes) < 2:
        raise UserError(
            f"{path}: {listed(list(classes))} is the only class. A classifier needs at least two."
        )

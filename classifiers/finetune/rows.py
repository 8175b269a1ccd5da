"""What a step sees: images, or what is cached of them, batch by batch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from classifiers.split import stratified
from features.cache import FeatureFile
from features.datasets import Images
from features.errors import UserError
from features.load import READ_BYTES, Load
from features.progress import progress

READERS = 8
AHEAD = 2
"""Batches that wait while a step is computed."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Rows:
    """Some images of a data set.

    Attributes:
        splits: Of each image its split.
        places: Its place there, int64 (n,).
        labels: int64 (n,).
        ids: Their names.
    """

    splits: np.ndarray
    places: np.ndarray
    labels: np.ndarray
    ids: list[str]

    def __len__(self) -> int:
        return len(self.labels)


def training_and_validation(images: Images, share: float, seed: int) -> tuple[Rows, Rows]:
    """The same rows that heads are trained and validated on; the test split stays closed.

    Args:
        images: The data set.
        share: Of the training split to draw for validation, where the data brings none.
        seed: Of that draw.

    Raises:
        UserError: There is no image to validate on.
    """
    whole = rows_of(images, "train")
    if "validation" in images.splits:
        held = rows_of(images, "validation")
        if not len(held):
            raise UserError("the validation split holds no image")
        return whole, held
    first, second = stratified(whole.labels, share, seed, images.classes)
    return _some(whole, first), _some(whole, second)


def rows_of(images: Images, split: str) -> Rows:
    """All images of a split."""
    labels = images.labels(split).astype(np.int64)
    count = len(labels)
    return Rows(np.full(count, split), np.arange(count), labels, images.ids(split))


def _some(rows: Rows, chosen: np.ndarray) -> Rows:
    return Rows(
        rows.splits[chosen],
        rows.places[chosen],
        rows.labels[chosen],
        [rows.ids[row] for row in chosen],
    )


class Source(Protocol):
    """Where the inputs of a network come from."""

    def take(self, rows: Rows, chosen: np.ndarray, views: np.ndarray) -> list[np.ndarray]:
        """The network's inputs of some rows, each in a view of its own, text (chosen,)."""


class LiveImages:
    """Images, in memory where they fit, else read anew each time."""

    def __init__(self, images: Images, load: Load, shape: tuple[int, int], memory: float) -> None:
        """Takes what reads.

        Args:
            images: The data set.
            load: What reads images in their views.
            shape: Height and width of what it reads.
            memory: Bytes that images may take.
        """
        self._images, self._load, self._shape = images, load, shape
        self._left = memory
        self._kept: dict[tuple[str, str], np.ndarray | None] = {}
        self._pool = ThreadPoolExecutor(READERS)

    def take(self, rows: Rows, chosen: np.ndarray, views: np.ndarray) -> list[np.ndarray]:
        """float32 (chosen, height, width, 3), 0 to 255."""
        found = np.empty((len(chosen), *self._shape, 3), np.float32)
        splits, places = rows.splits[chosen], rows.places[chosen]
        for split in np.unique(splits):
            for view in np.unique(views):
                mine = np.flatnonzero((splits == split) & (views == view))
                if not len(mine):
                    continue
                kept = self._in_memory(str(split), str(view))
                if kept is not None:
                    found[mine] = kept[places[mine]]
                    continue
                read = self._pool.map(
                    lambda place, split=split, view=view: self._load(
                        [str(view)], str(split), int(place), int(place) + 1
                    )[0][0],
                    places[mine],
                )
                for row, image in zip(mine, read, strict=True):
                    found[row] = image
        return [found]

    def _in_memory(self, split: str, view: str) -> np.ndarray | None:
        """All images of a split in a view; None where they are too many."""
        if (split, view) not in self._kept:
            count = len(self._images.labels(split))
            # What is resized is no whole number any more; 16 bits keep it to a twentieth.
            whole = self._images.common_size() == self._shape
            dtype = np.dtype(np.uint8 if whole else np.float16)
            image = 3 * self._shape[0] * self._shape[1]
            size = count * image * dtype.itemsize
            values = None
            if size <= self._left:
                self._left -= size
                values = np.empty((count, *self._shape, 3), dtype)
                step = max(1, READ_BYTES // (4 * image))
                with progress(count, f"reading the {split} images") as advance:
                    for start in range(0, count, step):
                        (part,) = self._load([view], split, start, start + step)
                        values[start : start + len(part)] = part
                        advance(len(part))
            self._kept[split, view] = values
        return self._kept[split, view]


class CachedBoundary:
    """What a features file keeps at the boundary."""

    def __init__(self, file: FeatureFile, keys: Sequence[tuple[str, str]]) -> None:
        """Takes an open file.

        Args:
            file: It holds all of `keys`.
            keys: View and layer of each input.
        """
        self._file, self._keys = file, keys
        self._as_they_are = {view for view, _ in keys} == {"identity"}

    def take(self, rows: Rows, chosen: np.ndarray, views: np.ndarray) -> list[np.ndarray]:
        """One array an input, in the file's dtype, (chosen, ...)."""
        splits, places = rows.splits[chosen], rows.places[chosen]
        inputs = []
        for own, layer in self._keys:
            found: np.ndarray | None = None
            # A network that makes views of an image itself sees these, and no other.
            wanted = views if self._as_they_are else np.full(len(chosen), own)
            for split in np.unique(splits):
                for view in np.unique(wanted):
                    mine = np.flatnonzero((splits == split) & (wanted == view))
                    if not len(mine):
                        continue
                    values = self._file.array(str(split), str(view), layer)
                    if found is None:
                        found = np.empty((len(chosen), *values.shape[1:]), values.dtype)
                    found[mine] = values[places[mine]]
            assert found is not None
            inputs.append(found)
        return inputs


def ahead(items: Iterator[Item]) -> Generator[Item]:
    """The same items, made in a thread of their own a little before they are wanted."""
    waiting: queue.Queue[Any] = queue.Queue(AHEAD)
    stop = threading.Event()

    def make() -> None:
        try:
            for item in items:
                if not _put(("item", item)):
                    return
            _put(("end", None))
        except BaseException as error:
            _put(("error", error))

    def _put(entry: tuple[str, Any]) -> bool:
        while not stop.is_set():
            try:
                waiting.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            kind, item = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise item
            yield item
    finally:
        stop.set()
        thread.join()

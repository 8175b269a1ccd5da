"""The features that a head sees, as one matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from classifiers.spec import Choice
from features.cache import FeatureFile
from features.cache.layout import BLOCK
from features.errors import UserError
from features.files import fingerprint

if TYPE_CHECKING:
    import dask.array

BLOCK_BYTES = 64 * 2**20
"""What a block of rows takes as float32, about, where they are read block by block."""


class Features:
    """One features file, or those of the same images by several backbones, side by side.

    Attributes:
        path: The first file, for messages.
        classes: The names of the classes; a label is an index into them.
        splits: Those that the data brought.
        views: Those that are stored in every file.
        fingerprint: The file's, or what those of several come to.
        made_by: The fingerprint of all that is in it but the data: features of other images with
            the same one can be judged by the same head.
        dataset: The fingerprint of the images, their labels and their splits.
        seconds: What each file's pass took, by its name; None where its record is gone.
    """

    def __init__(self, paths: Path | Sequence[Path]) -> None:
        """Opens the files.

        Raises:
            UserError: One is missing or damaged, or they are of different images.
        """
        self._stack = ExitStack()
        try:
            self._files = [
                self._stack.enter_context(FeatureFile(path))
                for path in ([paths] if isinstance(paths, Path) else paths)
            ]
            for other in self._files[1:]:
                _same_images(self._files[0], other)
        except BaseException:
            self._stack.close()
            raise
        first = self._files[0]
        self.path, self.classes, self.splits = first.path, first.classes, first.splits
        self.views = _views(self._files, "mean")
        prints = [file.fingerprint for file in self._files]
        self.fingerprint = joined_fingerprint(prints)
        self.made_by = fingerprint(
            {"joined": [{**file.spec, "dataset": None} for file in self._files]}
        )
        self.dataset = data_fingerprint(first.spec)
        self.seconds = {
            file.path.stem: file.record.get("seconds", {}).get("total") for file in self._files
        }

    def seen(self, choice: Choice) -> tuple[list[str], list[list[str]]]:
        """The views that `matrix` takes, and each file's layers, in its order.

        Raises:
            UserError: There is no such layer or view.
        """
        return _views(self._files, choice.view), _layers(self._files, choice.layers)

    def labels(self, split: str) -> np.ndarray:
        """The labels of a split, int64 (images,)."""
        return self._files[0].labels(split)

    def ids(self, split: str) -> list[str]:
        """The images' names within their data set."""
        return self._files[0].ids(split)

    def matrix(
        self, split: str, choice: Choice, start: int = 0, stop: int | None = None
    ) -> np.ndarray:
        """Joins layers side by side, and takes one view, the mean over all of them, or each.

        Args:
            split: The split to read.
            choice: Of layers and views. A layer that is kept unpooled, "spatial/" and its name, is
                flattened. Where several files are joined, each gives those of the named layers that
                it has. The projection is not done here, for it is fitted.
            start: The first image, a multiple of 32.
            stop: One after the last image; all where missing.

        Returns:
            float32 (images, dimensions of all the layers), of the view "rows" (images, views,
            dimensions).

        Raises:
            UserError: There is no such layer, view or split, or a value is not finite.
        """
        views, layers = self.seen(choice)
        images = self._files[0].images(split)
        part = (start, images if stop is None else min(stop, images))
        if choice.view == "rows":
            each = [self._joined(split, layers, [view], part) for view in views]
            values = np.stack(each, axis=1)
        else:
            values = self._joined(split, layers, views, part)
        return _rooted(values) if choice.root else values

    def _joined(
        self, split: str, layers: list[list[str]], views: list[str], part: tuple[int, int]
    ) -> np.ndarray:
        columns = [
            _layer(file, split, layer, views, part)
            for file, own in zip(self._files, layers, strict=True)
            for layer in own
        ]
        return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)

    def shape(self, split: str, choice: Choice) -> tuple[int, ...]:
        """The shape of `matrix`, without reading it."""
        views, layers = self.seen(choice)
        images = self._files[0].images(split)
        dimensions = sum(
            int(np.prod(file.shape(f"{split}/{views[0]}/{layer}")[1:]))
            for file, own in zip(self._files, layers, strict=True)
            for layer in own
        )
        return (images, len(views), dimensions) if choice.view == "rows" else (images, dimensions)

    def blocks(self, split: str, choice: Choice) -> Iterator[np.ndarray]:
        """The same, some images at a time."""
        shape = self.shape(split, choice)
        step = _rows_at_once(shape)
        for start in range(0, shape[0], step):
            yield self.matrix(split, choice, start, start + step)

    def lazy(self, split: str, choice: Choice) -> dask.array.Array:
        """The same as a dask array; the process that computes a block reads and checks it."""
        import dask.array as da

        shape = self.shape(split, choice)
        step = _rows_at_once(shape)
        sizes = tuple(min(step, shape[0] - start) for start in range(0, shape[0], step))
        found: dask.array.Array = da.map_blocks(  # type: ignore[no-untyped-call]
            _read,
            [file.path for file in self._files],
            split,
            choice,
            chunks=(sizes, *((side,) for side in shape[1:])),
            dtype=np.float32,
            meta=np.empty((0,) * len(shape), np.float32),
        )
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()


def data_fingerprint(spec: Mapping[str, Any]) -> str:
    """That of the images that features are of, by the spec of the features."""
    return fingerprint({"dataset": spec.get("dataset")})


def joined_fingerprint(fingerprints: Sequence[str]) -> str:
    """That of several files side by side, in this order; of one its own."""
    if len(fingerprints) == 1:
        return fingerprints[0]
    return fingerprint({"joined": list(fingerprints)})


def _read(paths: Sequence[Path], split: str, choice: Choice, block_info: Any = None) -> np.ndarray:
    """A block of a dask array, in whichever process."""
    start, stop = block_info[None]["array-location"][0]
    with Features(paths) as opened:
        return opened.matrix(split, choice, start, stop)


def _rows_at_once(shape: tuple[int, ...]) -> int:
    row = 4 * int(np.prod(shape[1:]))
    return max(1, BLOCK_BYTES // (row * BLOCK)) * BLOCK


def _same_images(one: FeatureFile, other: FeatureFile) -> None:
    if one.spec["dataset"] != other.spec["dataset"]:
        raise UserError(f"{one.path} and {other.path} are of different images: none can be joined")


def _layer(
    file: FeatureFile, split: str, layer: str, views: list[str], part: tuple[int, int]
) -> np.ndarray:
    """One layer's mean over the views, float32 (images, dimensions)."""
    values = _stored(file, split, views[0], layer, part).astype(np.float32)
    for view in views[1:]:
        values += _stored(file, split, view, layer, part)
    if len(views) > 1:
        values /= len(views)
    values = values.reshape(len(values), -1)
    if not np.isfinite(values).all():
        raise UserError(
            f"{file.path}: layer {layer!r} of split {split!r} holds values that are not "
            "finite, which no pass writes; delete the file and run again"
        )
    return values


def _stored(
    file: FeatureFile, split: str, view: str, layer: str, part: tuple[int, int]
) -> np.ndarray:
    """Some images of what is stored; those of a whole split stay checked and mapped."""
    if part == (0, file.images(split)):
        return file.array(split, view, layer)
    return file.checked_rows(f"{split}/{view}/{layer}", *part)


def _rooted(values: np.ndarray) -> np.ndarray:
    """Signed roots, in place."""
    negative = np.signbit(values)
    np.abs(values, out=values)
    np.sqrt(values, out=values)
    np.negative(values, out=values, where=negative)
    return values


def _layers(files: Sequence[FeatureFile], layers: str | tuple[str, ...]) -> list[list[str]]:
    """The layers of each file."""
    if layers == "last":
        return [file.layers[-1:] for file in files]
    if layers == "all":
        return [file.layers for file in files]
    names = [layers] if isinstance(layers, str) else list(layers)
    known = [file.layers + file.spatial for file in files]
    found = [
        [own for name in names if (own := _by_name(name, file)) in there]
        for file, there in zip(files, known, strict=True)
    ]
    taken = {name for of_file in found for name in of_file}
    unknown = [name for name in names if not any(_by_name(name, file) in taken for file in files)]
    if unknown or not names:
        every = dict.fromkeys(name for there in known for name in there)
        raise UserError(
            f"{files[0].path}: no layer {', '.join(map(repr, unknown)) or 'named'}; "
            f"allowed: last, all, or any of {', '.join(every)}"
        )
    return found


def _by_name(name: str, file: FeatureFile) -> str:
    """The name that a layer has in a file, of "last" and "spatial/last" that of its last."""
    start, _, end = name.rpartition("/")
    return f"{start}/{file.layers[-1]}".lstrip("/") if end == "last" else name


def _views(files: Sequence[FeatureFile], view: str) -> list[str]:
    stored = [name for name in files[0].views if all(name in file.views for file in files)]
    if not stored:
        raise UserError(
            f"{' and '.join(str(file.path) for file in files)} have no view in common, by which "
            "they could be joined; give the backbones one"
        )
    if view in ("mean", "rows"):
        return stored
    if view not in stored:
        raise UserError(
            f"{files[0].path}: no view {view!r}; allowed: mean, rows, {', '.join(stored)}"
        )
    return [view]

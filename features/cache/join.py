"""Joining the parts of a pass by a virtual dataset, without copying."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from filelock import FileLock, Timeout

from features.cache.layout import Contents, feature_names, new_file, write_rows
from features.cache.reader import FeatureFile, parts_folder, read_record
from features.cache.writer import write_record
from features.errors import UserError
from features.files import disk_errors, whole_file


def part_file(path: Path, part: int, parts: int) -> Path:
    """Where a part of a features file is."""
    return parts_folder(path) / f"{part + 1}-of-{parts}.h5"


def parts_of(path: Path) -> int:
    """How many parts a features file is made of; 1 where it is one piece."""
    with FeatureFile(path) as file:
        return file.parts


def join(path: Path, parts: int) -> None:
    """Makes one features file of its parts, which stay where they are.

    A file that is there is left as it is.

    Args:
        path: The features file.
        parts: How many there are.

    Raises:
        UserError: A part is missing or of other features, or the disk is full.
    """
    if path.exists():
        FeatureFile(path).close()
        return
    files = [FeatureFile(part_file(path, part, parts)) for part in range(parts)]
    try:
        contents = _whole(path, files)
        with disk_errors(path), whole_file(path) as new:
            with new_file(new, contents) as file:
                for split in contents.labels:
                    write_rows(file, split, contents.labels[split], contents.ids[split])
                    layers = list(contents.layers)
                    for name in feature_names([split], contents.views, layers):
                        for dataset in (name, f"checksums/{name}"):
                            _virtual(file, dataset, path, files)
            write_record(path, _record([read_record(file.path) for file in files]))
    finally:
        for file in files:
            file.close()
    remove_leftovers(path, parts)


def remove_leftovers(path: Path, parts: int) -> None:
    """Removes what was begun of a features file that is whole now, split in another way.

    Args:
        path: The features file.
        parts: The number of parts that it is made of.
    """
    begun = list(parts_folder(path).glob("*.h5*")) if parts_folder(path).exists() else []
    if parts > 1:
        begun = [file for file in begun if f"-of-{parts}.h5" not in file.name]
        begun += path.parent.glob(f"{path.name}.part*")
        begun = [file for file in begun if file != parts_folder(path)]
    for file in begun:
        name = file.name.partition(".h5")[0] + ".h5"
        lock = FileLock(file.with_name(f".{name}.lock"))
        # Another checkout may still be at it.
        with suppress(Timeout, OSError), lock.acquire(timeout=0):
            file.unlink(missing_ok=True)
    if parts == 1 and parts_folder(path).exists() and not list(parts_folder(path).glob("*.h5*")):
        shutil.rmtree(parts_folder(path), ignore_errors=True)


def _whole(path: Path, files: Sequence[FeatureFile]) -> Contents:
    first = files[0]
    for file in files[1:]:
        for field in ("spec", "layers", "spatial", "views", "splits", "classes"):
            if getattr(file, field) != getattr(first, field):
                raise UserError(
                    f"{file.path}: its {field} differs from that of {first.path.name}; delete "
                    f"{parts_folder(path)} and run again"
                )
    layers = {
        layer: first.shape(f"{first.splits[0]}/{first.views[0]}/{layer}")[1:]
        for layer in first.layers + first.spatial
    }
    return Contents(
        spec=first.spec,
        classes=first.classes,
        views=first.views,
        layers=layers,
        labels={s: np.concatenate([file.labels(s) for file in files]) for s in first.splits},
        ids={s: [name for file in files for name in file.ids(s)] for s in first.splits},
        facts=first.facts,
    )


def _virtual(file: h5py.File, name: str, path: Path, parts: Sequence[FeatureFile]) -> None:
    shapes = [part.shape(name) for part in parts]
    rows = sum(shape[0] for shape in shapes)
    dtype = parts[0].dtype(name)
    layout = h5py.VirtualLayout((rows, *shapes[0][1:]), dtype)
    start = 0
    for part, shape in zip(parts, shapes, strict=True):
        if shape[0]:
            place = part.path.relative_to(path.resolve().parent).as_posix()
            layout[start : start + shape[0]] = h5py.VirtualSource(place, name, shape, dtype)
            start += shape[0]
    file.create_virtual_dataset(name, layout)


def _record(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the parts took together; where they ran side by side, it is the sum all the same."""
    whole = dict(records[0])
    if all("seconds" in record for record in records):
        names = records[0]["seconds"]
        whole["seconds"] = {n: sum(record["seconds"][n] for record in records) for n in names}
        whole["computed"] = sum(record["computed"] for record in records)
        busy = whole["seconds"]["total"] - whole["seconds"]["start"]
        whole["images_per_second"] = whole["computed"] / busy if busy > 0 else None
    peaks = [record.get("peak_memory_bytes") for record in records]
    whole["peak_memory_bytes"] = max(filter(None, peaks), default=None)
    whole["parts"] = len(records)
    return whole

"""A pass in parts: joined without copying, and the same to every reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import features
from features.cache import BLOCK
from features.cache.join import join, part_file, parts_of
from features.cache.layout import Contents, blocks
from features.cache.reuse import reuse
from features.cache.writer import unfinished, write_record
from features.errors import UserError
from features.files import fingerprint

SPEC: dict[str, Any] = {"dataset": {"s": 1}, "backbone": {"views": ["identity"], "spatial": []}}
NAME = f"made-{fingerprint(SPEC)[:8]}.h5"
COUNTS = {"train": 5 * BLOCK + 3, "test": 7}
VALUES = {s: np.random.default_rng(0).normal(size=(n, 4)).astype("f2") for s, n in COUNTS.items()}


def contents(part: int, parts: int) -> Contents:
    rows = {}
    for split, count in COUNTS.items():
        first, end = (blocks(count) * i // parts * BLOCK for i in (part, part + 1))
        rows[split] = (first, min(end, count))
    return Contents(
        spec=SPEC,
        classes=["a", "b"],
        views=["identity"],
        layers={"last": (4,)},
        labels={split: np.arange(count) % 2 for split, count in COUNTS.items()},
        ids={split: [f"{split}{i}" for i in range(count)] for split, count in COUNTS.items()},
        rows=rows,
    )


def write_part(path: Path, part: int, parts: int, whole: bool = True) -> Path:
    file = part_file(path, part, parts)
    wanted = contents(part, parts)
    with unfinished(file, wanted) as writer:
        for split, (start, stop) in wanted.rows.items():
            if stop > start:
                writer.write(split, "identity", "last", 0, VALUES[split][start:stop])
        if whole:
            writer.finish(file)
    seconds = {"start": 1, "total": 3}
    write_record(
        file, {"seconds": seconds, "computed": stop - start, "peak_memory_bytes": 1000 + part}
    )
    return file


@pytest.mark.parametrize("parts", [2, 3, 9])
def test_what_is_joined_reads_like_one_piece(
    tmp_path: Path, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine parts are more than there are blocks: some hold no image."""
    path = tmp_path / "cache" / NAME
    for part in range(parts):
        write_part(path, part, parts)
    join(path, parts)
    # Wherever a reader stands, and whatever link leads it there.
    monkeypatch.chdir("/")
    (tmp_path / "link").symlink_to(path.parent)
    for place in (path, tmp_path / "link" / NAME):
        with features.open(place) as file:
            assert file.parts == parts
            for split, values in VALUES.items():
                np.testing.assert_array_equal(file.array(split, "identity", "last"), values)
                np.testing.assert_array_equal(
                    file.dask(split, "identity", "last").compute(scheduler="synchronous"), values
                )
                assert file.ids(split)[-1] == f"{split}{COUNTS[split] - 1}"
                assert file.labels(split).tolist() == [i % 2 for i in range(COUNTS[split])]
            assert file.record["seconds"]["total"] == 3 * parts
            assert file.record["peak_memory_bytes"] == 1000 + parts - 1
            assert [file.damaged(name) for name in file.names()] == [[]] * len(file.names())
    with h5py.File(path) as raw:
        np.testing.assert_array_equal(raw["train/identity/last"][:], VALUES["train"])
    assert path.stat().st_size < 50_000, "nothing is copied"


def test_the_whole_can_be_moved(tmp_path: Path) -> None:
    path = tmp_path / "cache" / NAME
    for part in range(2):
        write_part(path, part, 2)
    join(path, 2)
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    with features.open(tmp_path / "elsewhere" / NAME) as file:
        np.testing.assert_array_equal(file.array("train", "identity", "last"), VALUES["train"])


def test_a_missing_part_is_told(tmp_path: Path) -> None:
    path = tmp_path / NAME
    for part in range(2):
        write_part(path, part, 2)
    join(path, 2)
    part_file(path, 1, 2).unlink()
    with features.open(path) as file, pytest.raises(UserError, match="is missing"):
        file.array("train", "identity", "last")


def test_damage_in_a_part_is_told(tmp_path: Path) -> None:
    path = tmp_path / NAME
    for part in range(2):
        write_part(path, part, 2)
    join(path, 2)
    with h5py.File(part_file(path, 1, 2), "r+") as file:
        file["train/identity/last"][0] = 9
    with features.open(path) as file, pytest.raises(UserError, match="of /train/identity/last"):
        file.array("train", "identity", "last")


def test_what_was_split_otherwise_is_taken_over_and_then_removed(tmp_path: Path) -> None:
    path = tmp_path / NAME
    for part in range(3):
        write_part(path, part, 3)
    write_part(path, 0, 4, whole=False)
    for part in range(2):
        file, wanted = part_file(path, part, 2), contents(part, 2)
        with unfinished(file, wanted) as writer:
            reuse(writer, wanted, file)
            assert writer.remaining() == 0
            writer.finish(file)
    join(path, 2)
    left = sorted(file.name for file in (path.parent / f"{NAME}.parts").glob("[!.]*"))
    assert left == ["1-of-2.h5", "2-of-2.h5"]
    assert parts_of(path) == 2
    with features.open(path) as file:
        np.testing.assert_array_equal(file.array("train", "identity", "last"), VALUES["train"])


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / NAME
    for part in range(2):
        write_part(path, part, 2)
    join(path, 2)
    before = path.stat()
    join(path, 2)
    assert path.stat().st_mtime_ns == before.st_mtime_ns

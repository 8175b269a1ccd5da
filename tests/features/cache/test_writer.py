"""A features file in the making: what is finished is kept, and nothing else passes for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import features
from features.cache import BLOCK
from features.cache.layout import Contents
from features.cache.writer import unfinished
from features.errors import UserError
from features.files import fingerprint

SPEC: dict[str, Any] = {"backbone": {"views": ["identity"], "spatial": []}}
NAME = f"made-{fingerprint(SPEC)[:8]}.h5"
IMAGES = 3 * BLOCK + 7
VALUES = np.random.default_rng(0).normal(size=(IMAGES, 6)).astype(np.float16)


def contents(**changes: Any) -> Contents:
    fields: Mapping[str, Any] = {
        "spec": SPEC,
        "classes": ["a", "b"],
        "views": ["identity"],
        "layers": {"last": (6,)},
        "labels": {"train": np.arange(IMAGES) % 2},
        "ids": {"train": [f"{i}.jpg" for i in range(IMAGES)]},
    }
    return Contents(**{**fields, **changes})


def write_blocks(path: Path, blocks: list[int], whole: bool = False, **changes: Any) -> int:
    """Writes some blocks; gives how many were there before."""
    with unfinished(path, contents(**changes)) as writer:
        for block in blocks:
            start = block * BLOCK
            writer.write("train", "identity", "last", start, VALUES[start : start + BLOCK])
        if whole:
            writer.finish(path)
        return writer.found


def test_what_was_finished_is_found_again_and_the_rest_gives_the_same_bytes(
    tmp_path: Path,
) -> None:
    at_once, again = tmp_path / "a" / NAME, tmp_path / "b" / NAME
    write_blocks(at_once, [0, 1, 2, 3], whole=True)
    assert write_blocks(again, [2]) == 0
    assert write_blocks(again, [0, 3]) == 1
    assert not again.exists(), "nothing unfinished has a whole file's name"
    assert write_blocks(again, [1], whole=True) == 3
    assert again.read_bytes() == at_once.read_bytes()
    with features.open(again) as file:
        np.testing.assert_array_equal(file.array("train", "identity", "last"), VALUES)


def test_a_block_that_was_lost_to_a_power_cut_is_written_again(tmp_path: Path) -> None:
    """Its checksum reached the disk and it did not."""
    path = tmp_path / NAME
    write_blocks(path, [0, 1])
    part = path.with_name(NAME + ".part")
    with features.open(part) as file:
        at = file.offset("train/identity/last")
    with part.open("r+b") as raw:
        raw.seek(at + BLOCK * 12)
        raw.write(bytes(BLOCK * 12))
    assert write_blocks(path, []) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"train": np.zeros(IMAGES, int)}},
        {"ids": {"train": ["x"] * IMAGES}},
        {"layers": {"other": (6,)}},
        {"classes": ["a", "c"]},
        {"facts": {"backbone": {"weights_sha256": "other"}}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_an_earlier_try_left_of_something_else_is_not_gone_on_with(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / NAME
    write_blocks(path, [0, 1])
    with unfinished(path, contents(**change)) as writer:
        assert writer.found == 0


@pytest.mark.parametrize("kept", [0, 100, 5000])
def test_a_header_that_was_cut_short_is_begun_anew(tmp_path: Path, kept: int) -> None:
    path = tmp_path / NAME
    write_blocks(path, [0])
    part = path.with_name(NAME + ".part")
    part.write_bytes(part.read_bytes()[:kept])
    assert write_blocks(path, [0, 1, 2, 3], whole=True) == 0
    features.open(path).close()


def test_a_file_is_not_finished_while_blocks_are_missing(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with unfinished(path, contents()) as writer, pytest.raises(AssertionError):
        writer.finish(path)
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((UserError, OSError)):
        write_blocks(tmp_path / "file" / NAME, [0])

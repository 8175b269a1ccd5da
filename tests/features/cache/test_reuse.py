"""An added view or layer costs itself alone: the rest is copied, block by block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from features.cache import BLOCK
from features.cache.layout import Contents
from features.cache.reuse import reuse
from features.cache.writer import unfinished
from features.files import fingerprint

from .conftest import write_file

IMAGES = 2 * BLOCK + 5


def spec(views: list[str], size: int = 32) -> dict[str, Any]:
    return {"dataset": {"s": 1}, "backbone": {"size": size, "views": views, "spatial": []}}


def contents(wanted: dict[str, Any], **layers: int) -> Contents:
    return Contents(
        spec=wanted,
        classes=["ä", "b", "c"],
        views=wanted["backbone"]["views"],
        layers={name: (width,) for name, width in layers.items()},
        labels={split: np.arange(IMAGES) % 3 for split in ("train", "test")},
        ids={s: [f"{s}/é{i}.jpg" for i in range(IMAGES)] for s in ("train", "test")},
        facts={"backbone": {"parameters": 3}},
    )


def missing(path: Path, wanted: Contents) -> set[tuple[str, str, str]]:
    """What is left to compute after reuse, by split, view and layer."""
    with unfinished(path, wanted) as writer:
        reuse(writer, wanted, path)
        return {
            (split, view, layer)
            for split in wanted.labels
            for view in wanted.views
            for layer in wanted.layers
            if not writer.finished(split, view, layer).all()
        }


def place(folder: Path, wanted: dict[str, Any]) -> Path:
    return folder / f"made-{fingerprint(wanted)[:8]}.h5"


def test_an_added_view_is_all_that_is_missing(tmp_path: Path) -> None:
    write_file(tmp_path, spec=spec(["identity"]))
    more = spec(["identity", "augmented-0"])
    assert missing(place(tmp_path, more), contents(more, early=3, late=7)) == {
        (split, "augmented-0", layer) for split in ("train", "test") for layer in ("early", "late")
    }


def test_an_added_layer_is_all_that_is_missing(tmp_path: Path) -> None:
    write_file(tmp_path, spec=spec(["identity"]))
    more = spec(["identity"]) | {}
    more["backbone"]["spatial"] = ["early"]
    path = place(tmp_path, more)
    assert missing(path, contents(more, early=3, late=7, extra=2)) == {
        (split, "identity", "extra") for split in ("train", "test")
    }


def test_features_of_another_size_are_not_taken(tmp_path: Path) -> None:
    write_file(tmp_path, spec=spec(["identity"], size=64))
    wanted = spec(["identity"])
    assert len(missing(place(tmp_path, wanted), contents(wanted, early=3, late=7))) == 4


def test_a_damaged_block_is_not_taken(tmp_path: Path) -> None:
    old = write_file(tmp_path, spec=spec(["identity"]))
    with h5py.File(old, "r+") as file:
        file["train/identity/late"][BLOCK] = 0
    more = spec(["identity", "mirror"])
    wanted = contents(more, early=3, late=7)
    path = place(tmp_path, more)
    with unfinished(path, wanted) as writer:
        reuse(writer, wanted, path)
        taken = writer.finished("train", "identity", "late")
    assert taken[0]
    assert not taken[1]

"""The features file: what is written is read, and damage is found."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import features
from features.cache import BLOCK, write_features
from features.errors import UserError
from features.files import fingerprint

SPEC = {"dataset": {"source": "made"}, "extractor": 1}
NAME = f"made-{fingerprint(SPEC)[:8]}.h5"


def write(folder: Path, images: int = 2 * BLOCK + 5, spec: dict[str, Any] = SPEC) -> Path:
    path = folder / f"made-{fingerprint(spec)[:8]}.h5"
    rng = np.random.default_rng(0)
    arrays = {
        (view, layer): rng.normal(size=(images, width))
        for view in ("identity", "mirror")
        for layer, width in (("early", 3), ("late", 7))
    }
    write_features(
        path,
        splits={
            split: (np.arange(images) % 3, [f"{split}/é{i}.jpg" for i in range(images)], arrays)
            for split in ("train", "test")
        },
        classes=["ä", "b", "c"],
        layers=["early", "late"],
        views=["identity", "mirror"],
        spec=spec,
        record={"seconds": {"total": 1.5}},
    )
    return path


def test_two_lines_of_h5py_read_it(tmp_path: Path) -> None:
    path = write(tmp_path)
    with h5py.File(path) as file:
        late = file["train/mirror/late"][:]
    assert late.shape == (2 * BLOCK + 5, 7)
    assert late.dtype == np.float16
    with h5py.File(path) as file:
        assert file["train/mirror/late"].chunks is None, "contiguous: read whole at memory speed"


def test_what_a_reader_is_told(tmp_path: Path) -> None:
    with features.open(write(tmp_path)) as file:
        assert file.classes == ["ä", "b", "c"]
        assert file.layers == ["early", "late"]
        assert file.views == ["identity", "mirror"]
        assert sorted(file.splits) == ["test", "train"]
        assert file.ids("test")[2] == "test/é2.jpg"
        assert file.labels("train").dtype == np.int64
        assert file.record["seconds"]["total"] == 1.5
        assert file.spec == SPEC


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=hnp.arrays(
        np.float16,
        st.tuples(st.integers(1, 40), st.integers(1, 9)),
        elements=st.floats(-1000, 1000, width=16),
    ),
    names=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=40),
)
def test_any_values_and_names_come_back(
    tmp_path: Path, values: np.ndarray, names: list[str]
) -> None:
    path = tmp_path / NAME
    labels = np.arange(len(values)) % 2
    write_features(
        path,
        splits={"train": (labels, names[: len(values)], {("identity", "last"): values})},
        classes=["a", "b"],
        layers=["last"],
        views=["identity"],
        spec=SPEC,
        record={},
    )
    with features.open(path) as file:
        np.testing.assert_array_equal(file.array("train", "identity", "last"), values)
        np.testing.assert_array_equal(file.labels("train"), labels)
        assert file.ids("train") == names[: len(values)]


@pytest.mark.parametrize("dataset", ["train/identity/late", "test/labels"])
@pytest.mark.parametrize("row", [0, BLOCK, 2 * BLOCK + 4])
def test_one_changed_byte_is_found_and_located(tmp_path: Path, dataset: str, row: int) -> None:
    path = write(tmp_path)
    with h5py.File(path, "r+") as file:
        stored = file[dataset]
        at = stored.id.get_offset() + row * stored.dtype.itemsize * int(np.prod(stored.shape[1:]))
    with path.open("r+b") as raw:
        raw.seek(at)
        byte = raw.read(1)[0]
        raw.seek(at)
        raw.write(bytes([byte ^ 1]))

    split, *rest = dataset.split("/")
    with features.open(path) as file, pytest.raises(UserError, match=rf"images .*/{dataset}") as e:
        file.labels(split) if rest == ["labels"] else file.array(split, *rest)
    assert str(row // BLOCK * BLOCK) in str(e.value)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    with path.open("r+b") as raw:
        raw.truncate(path.stat().st_size // 2)
    with pytest.raises(UserError, match="not a whole HDF5 file"):
        features.open(path)


def test_a_renamed_file_is_refused(tmp_path: Path) -> None:
    """A cache of other settings must not pass for the one that is wanted."""
    path = write(tmp_path)
    other = tmp_path / "made-00000000.h5"
    shutil.move(path, other)
    with pytest.raises(UserError, match="00000000"):
        features.open(other)


def test_a_changed_spec_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["spec"] = str(file.attrs["spec"]).replace("made", "mode")
    with pytest.raises(UserError, match="fingerprint"):
        features.open(path)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with h5py.File(path, "w") as file:
        file["train"] = [1]
    with pytest.raises(UserError, match="not a features file"):
        features.open(path)
    with pytest.raises(UserError, match="no such features file"):
        features.open(tmp_path / "none.h5")


def test_unknown_names_are_answered_with_the_known(tmp_path: Path) -> None:
    with features.open(write(tmp_path)) as file:
        with pytest.raises(UserError, match="early, late"):
            file.array("train", "identity", "middle")
        with pytest.raises(UserError, match="identity, mirror"):
            file.array("train", "flip", "late")
        with pytest.raises(UserError, match="no split 'validation'"):
            file.labels("validation")


def test_a_killed_writer_leaves_nothing_that_passes_for_a_file(tmp_path: Path) -> None:
    """A real process, killed for real in the middle of writing."""
    script = f"""
import sys, time
import numpy as np
from pathlib import Path
from features.cache import create
with create(Path({str(tmp_path / NAME)!r}), {SPEC!r}, ["a"], ["last"], ["identity"]) as writer:
    writer.add_split("train", np.zeros(9000, int), ["x"] * 9000, ["identity"], {{"last": 8}})
    writer.write("train", "identity", "last", 0, np.ones((1024, 8), np.float16))
    print("writing", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / NAME).exists()
    with pytest.raises(UserError, match="no such features file"):
        features.open(tmp_path / NAME)


def test_a_file_of_thousands_of_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their checksums outgrow what HDF5's oldest layout lets an attribute hold: 64 kB."""
    monkeypatch.setattr("features.cache.BLOCK", 1)
    images = 2500
    values = np.arange(images)[:, None] % 100
    write_features(
        tmp_path / NAME,
        splits={"train": (np.zeros(images), ["x"] * images, {("identity", "last"): values})},
        classes=["a"],
        layers=["last"],
        views=["identity"],
        spec=SPEC,
        record={},
    )
    with features.open(tmp_path / NAME) as file:
        np.testing.assert_array_equal(file.array("train", "identity", "last"), values)

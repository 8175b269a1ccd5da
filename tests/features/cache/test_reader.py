"""A features file as it is read: what was written comes back, and damage is found."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

import dask
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

from .conftest import SPEC, Write, write_file

NAME = f"made-{fingerprint(SPEC)[:8]}.h5"
IMAGES = 2 * BLOCK + 5


def flip(path: Path, at: int, bit: int = 1) -> None:
    """Changes one bit of a file."""
    with path.open("r+b") as raw:
        raw.seek(at)
        byte = raw.read(1)[0]
        raw.seek(at)
        raw.write(bytes([byte ^ bit]))


def test_two_lines_of_h5py_read_it(write: Write) -> None:
    path = write()
    with h5py.File(path) as file:
        late = file["train/mirror/late"][:]
    assert late.shape == (IMAGES, 7)
    assert late.dtype == np.float16
    with h5py.File(path) as file:
        assert file["train/mirror/late"].chunks is None, "contiguous: read whole at memory speed"
        assert file["train/mirror/late"].compression is None


def test_what_a_reader_is_told(write: Write) -> None:
    with features.open(write()) as file:
        assert file.classes == ["ä", "b", "c"]
        assert file.layers == ["early", "late"]
        assert file.spatial == ["spatial/late"]
        assert file.views == ["identity", "mirror"]
        assert sorted(file.splits) == ["test", "train"]
        assert file.ids("test")[2] == "test/é2.jpg"
        assert file.labels("train").dtype == np.int64
        assert file.record["seconds"]["total"] == 1.5
        assert file.facts["backbone"]["parameters"] == 3
        assert file.spec == SPEC
        assert file.parts == 1


def test_features_are_mapped_and_not_to_be_written_to(write: Write) -> None:
    with features.open(write()) as file:
        values = file.array("train", "identity", "spatial/late")
    assert isinstance(values, np.memmap)
    assert values.shape == (IMAGES, 2, 2, 7)
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 0


def test_float32_on_request(write: Write) -> None:
    with features.open(write(dtype="float32")) as file:
        expected = np.random.default_rng(0).normal(size=(IMAGES, 3)).astype(np.float32)
        np.testing.assert_array_equal(file.array("train", "identity", "early"), expected)


def test_a_record_that_is_gone_takes_no_features_with_it(write: Write) -> None:
    path = write()
    path.with_name(path.name + ".json").unlink()
    with features.open(path) as file:
        assert "seconds" not in file.record
        assert len(file.array("train", "identity", "late")) == IMAGES


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
        views=["identity"],
        spec=SPEC,
        record={},
    )
    with features.open(path) as file:
        np.testing.assert_array_equal(file.array("train", "identity", "last"), values)
        np.testing.assert_array_equal(file.labels("train"), labels)
        assert file.ids("train") == names[: len(values)]


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_dask_gives_the_same_in_whichever_process(write: Write, scheduler: str) -> None:
    path = write()
    with features.open(path) as file:
        lazy = file.dask("train", "mirror", "late")
        expected = file.array("train", "mirror", "late")
    # The file is closed: what computes opens it.
    method = multiprocessing.get_start_method(allow_none=True) or "spawn"
    with dask.config.set(scheduler=scheduler, num_workers=2, **{"multiprocessing.context": method}):
        np.testing.assert_array_equal(lazy.compute(), expected)
        np.testing.assert_allclose(
            lazy.astype(np.float64).sum(axis=0).compute(), expected.astype(np.float64).sum(axis=0)
        )


def test_dask_finds_damage_too(write: Write) -> None:
    path = write()
    with h5py.File(path) as file:
        at = file["train/mirror/late"].id.get_offset()
    flip(path, at)
    with features.open(path) as file:
        lazy = file.dask("train", "mirror", "late")
    with pytest.raises(UserError, match="images 0 to 31 of /train/mirror/late"):
        lazy.compute()


@pytest.mark.parametrize("dataset", ["train/identity/late", "test/mirror/spatial/late"])
@pytest.mark.parametrize("row", [0, BLOCK, IMAGES - 1])
def test_one_changed_byte_of_the_features_is_found_and_located(
    write: Write, dataset: str, row: int
) -> None:
    path = write()
    with h5py.File(path) as file:
        stored = file[dataset]
        at = stored.id.get_offset() + row * stored.dtype.itemsize * int(np.prod(stored.shape[1:]))
    flip(path, at)
    split, view, layer = dataset.split("/", 2)
    with features.open(path) as file, pytest.raises(UserError, match=rf"images .*/{dataset}") as e:
        file.array(split, view, layer)
    first = row // BLOCK * BLOCK
    assert f"images {first} to {min(first + BLOCK, IMAGES) - 1} of" in str(e.value)


@pytest.mark.parametrize("column", ["labels", "ids"])
def test_a_changed_label_or_name_is_found(write: Write, column: str) -> None:
    path = write()
    with h5py.File(path, "r+") as file:
        file[f"test/{column}"][BLOCK] = 1 if column == "labels" else "test/other.jpg"
    with features.open(path) as file:
        with pytest.raises(UserError, match=rf"images 32 to 63 of /test/{column}"):
            file.labels("test") if column == "labels" else file.ids("test")
        assert len(file.labels("train")) == IMAGES, "the other split is whole"


@pytest.mark.parametrize("attribute", ["classes", "layers", "views", "splits", "facts", "spec"])
def test_a_changed_attribute_is_found_and_named(write: Write, attribute: str) -> None:
    path = write()
    with h5py.File(path, "r+") as file:
        text = bytearray(file.attrs[attribute])
        text[2] += 1
        file.attrs.modify(attribute, np.bytes_(text))
    with pytest.raises(UserError, match=rf"its attribute {attribute} is not as it was written"):
        features.open(path)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_found_or_changes_nothing(
    tmp_path: Path, data: st.DataObject
) -> None:
    """Wherever it is: in features, labels, names, checksums, attributes or HDF5's own structure."""
    original = tmp_path / "original" / NAME
    if not original.exists():
        write_file(original.parent)
    at = data.draw(st.integers(0, original.stat().st_size - 1))
    path = Path(shutil.copy(original, tmp_path / NAME))
    flip(path, at, 1 << data.draw(st.integers(0, 7)))
    with features.open(original) as file:
        names = file.names()
        expected = {name: file.rows_of(name, 0, IMAGES) for name in names}
        attributes = {"spec": file.spec, "classes": file.classes, "layers": file.layers}
    try:
        with features.open(path) as file:
            found = {name: file.damaged(name) for name in names}
            assert {name: getattr(file, name) for name in attributes} == attributes
            for name in names:
                if not found[name]:
                    np.testing.assert_array_equal(file.rows_of(name, 0, IMAGES), expected[name])
    except UserError:
        pass


def test_a_truncated_file_is_refused(write: Write) -> None:
    path = write()
    with path.open("r+b") as raw:
        raw.truncate(path.stat().st_size // 2)
    with pytest.raises(UserError, match="cut short"):
        features.open(path)


def test_a_renamed_file_is_refused(write: Write, tmp_path: Path) -> None:
    """A cache of other settings must not pass for the one that is wanted."""
    other = tmp_path / "made-00000000.h5"
    shutil.move(write(), other)
    with pytest.raises(UserError, match="00000000"):
        features.open(other)


def test_swapped_splits_are_refused(write: Write) -> None:
    """A model trained on the test split would look as good as none other."""
    path = write()
    with h5py.File(path, "r+") as file:
        for group in (file, file["checksums"]):
            group.move("train", "other")
            group.move("test", "train")
            group.move("other", "test")
    with features.open(path) as file:
        with pytest.raises(UserError, match="/train/identity/late"):
            file.array("train", "identity", "late")
        with pytest.raises(UserError, match="/train/labels"):
            file.labels("train")


def test_blocks_in_another_order_are_refused(write: Write) -> None:
    path = write()
    with h5py.File(path, "r+") as file:
        for name, size in (("train/identity/late", BLOCK), ("checksums/train/identity/late", 1)):
            values = file[name][:]
            values[:size], values[size : 2 * size] = (
                values[size : 2 * size].copy(),
                values[:size].copy(),
            )
            file[name][...] = values
    with features.open(path) as file, pytest.raises(UserError, match="images 0 to 31"):
        file.array("train", "identity", "late")


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with h5py.File(path, "w") as file:
        file["train"] = [1]
    with pytest.raises(UserError, match="not a features file"):
        features.open(path)
    with pytest.raises(UserError, match="no such features file"):
        features.open(tmp_path / "none.h5")


def test_unknown_names_are_answered_with_the_known(write: Write) -> None:
    with features.open(write()) as file:
        with pytest.raises(UserError, match="early, late, spatial/late"):
            file.array("train", "identity", "middle")
        with pytest.raises(UserError, match="identity, mirror"):
            file.array("train", "flip", "late")
        with pytest.raises(UserError, match="no split 'validation'"):
            file.labels("validation")


def test_a_file_of_thousands_of_images(tmp_path: Path) -> None:
    """Their names and checksums outgrow what HDF5's oldest layout lets an attribute hold."""
    images = 70_000
    values = np.arange(images)[:, None] % 100
    write_features(
        tmp_path / NAME,
        splits={"train": (np.zeros(images), ["x"] * images, {("identity", "last"): values})},
        classes=["a"],
        views=["identity"],
        spec=SPEC,
        record={},
    )
    with features.open(tmp_path / NAME) as file:
        np.testing.assert_array_equal(file.array("train", "identity", "last"), values)

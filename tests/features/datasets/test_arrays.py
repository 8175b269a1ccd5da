"""Arrays in .npz and HDF5 files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.datasets import DatasetSpec, arrays, identify, memo, open_images, prepare
from features.errors import UserError

SpecOf = Callable[..., DatasetSpec]
SOURCES = pytest.mark.parametrize("source", ["npz", "hdf5"])


def stored(source: str, path: Path, content: Mapping[str, Any], **options: Any) -> Path:
    if source == "npz":
        with path.open("wb") as file:
            (np.savez_compressed if options else np.savez)(file, **content)
    else:
        with h5py.File(path, "w") as file:
            for key, value in content.items():
                array = np.asarray(value)
                if array.dtype.kind == "U":
                    file.create_dataset(key, data=array.tolist(), dtype=h5py.string_dtype())
                else:
                    file.create_dataset(key, data=array, **options)
    return path


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def good() -> dict[str, np.ndarray]:
    return {
        "x_train": images(6, 4, 5, 3),
        "y_train": np.array([0, 1, 2, 0, 1, 2]),
        "x_test": images(3, 4, 5, 3, seed=1),
        "y_test": np.array([[2], [1], [0]], np.uint8),
    }


@SOURCES
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.tuples(st.integers(2, 9), st.integers(1, 5), st.integers(1, 5)),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    channels=st.sampled_from([(), (1,), (3,)]),
    block=st.integers(1, 400),
)
def test_any_shape_comes_back_as_rgb(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    counts: tuple[int, int, int],
    size: tuple[int, int],
    channels: tuple[int, ...],
    block: int,
) -> None:
    monkeypatch.setattr(arrays, "BLOCK_BYTES", block)
    content = {}
    for split, count in zip(("train", "validation", "test"), counts, strict=True):
        content[f"x_{split}"] = images(count, *size, *channels, seed=count)
        content[f"y_{split}"] = np.arange(count) % 2
    path = stored(source, tmp_path / "data", content)
    spec = DatasetSpec(source, identify(source, path, tmp_path / "memo.json"), 0.2, 0)
    (tmp_path / "out.h5").unlink(missing_ok=True)
    prepare(spec, path, tmp_path / "out.h5")
    with open_images(tmp_path / "out.h5", None) as opened:
        assert opened.splits == ["train", "validation", "test"]
        assert opened.classes == ["0", "1"]
        for split in opened.splits:
            expected = content[f"x_{split}"].reshape(-1, *size, channels[0] if channels else 1)
            read = np.asarray(opened.read(split, 0, 99))
            assert read.shape == (len(expected), *size, 3)
            assert (read == expected).all()
            assert opened.labels(split).tolist() == content[f"y_{split}"].tolist()


@SOURCES
def test_a_test_split_is_drawn_from_plain_x_and_y(
    source: str, spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "BLOCK_BYTES", 300)
    content = {"x": images(40, 4, 5), "y": np.arange(40) % 2}
    path = stored(source, tmp_path / "data", content)
    prepare(spec_of(source, path, limit=(("train", 8),)), path, tmp_path / "out.h5")
    with open_images(tmp_path / "out.h5", None) as opened:
        assert opened.splits == ["train", "test"]
        assert np.bincount(opened.labels("test")).tolist() == [5, 5]
        assert np.bincount(opened.labels("train")).tolist() == [4, 4]
        assert not set(opened.ids("train")) & set(opened.ids("test"))
        for split in opened.splits:
            rows = [int(name) for name in opened.ids(split)]
            assert rows == sorted(rows)
            assert all(len(name) == 2 for name in opened.ids(split))
            assert opened.labels(split).tolist() == content["y"][rows].tolist()
            read = np.asarray(opened.read(split, 0, 99))
            assert np.array_equal(read[..., 0], content["x"][rows])


@SOURCES
def test_compressed_files_are_read(source: str, spec_of: SpecOf, tmp_path: Path) -> None:
    path = stored(source, tmp_path / "data", good(), compression="gzip")
    prepare(spec_of(source, path), path, tmp_path / "out.h5")
    with open_images(tmp_path / "out.h5", None) as opened:
        assert np.array_equal(np.asarray(opened.read("train", 0, 9)), good()["x_train"])
        assert opened.ids("test") == ["test/0", "test/1", "test/2"]


@SOURCES
def test_class_names_are_kept(source: str, spec_of: SpecOf, tmp_path: Path) -> None:
    names = ["Ameise", "蜂", "cow"]
    path = stored(source, tmp_path / "data", good() | {"classes": np.array(names)})
    prepare(spec_of(source, path), path, tmp_path / "out.h5")
    with open_images(tmp_path / "out.h5", None) as opened:
        assert opened.classes == names
        assert opened.labels("test").tolist() == [2, 1, 0]


@SOURCES
def test_labels_without_names_are_named_by_their_number(
    source: str, spec_of: SpecOf, tmp_path: Path
) -> None:
    content = good()
    content["y_train"] = content["y_train"] * 5 + 10
    content["y_test"] = np.array([10, 20, 15])
    path = stored(source, tmp_path / "data", content)
    prepare(spec_of(source, path), path, tmp_path / "out.h5")
    with open_images(tmp_path / "out.h5", None) as opened:
        assert opened.classes == ["10", "15", "20"]
        assert opened.labels("test").tolist() == [0, 2, 1]


def only_test(*numbers: int) -> dict[str, np.ndarray]:
    return {"x_test": images(len(numbers), 4, 5, 3), "y_test": np.array(numbers)}


FURTHER: list[tuple[dict[str, np.ndarray], list[str], list[int], list[str]]] = [
    (only_test(7, 3, 7), ["3", "7"], [1, 0, 1], ["test/0", "test/1", "test/2"]),
    (only_test(3, 3), ["3"], [0, 0], ["test/0", "test/1"]),
    (only_test(2) | {"classes": np.array(list("abcd"))}, list("abcd"), [2], ["test/0"]),
    (good(), ["0", "1", "2"], [2, 1, 0], ["test/0", "test/1", "test/2"]),
    (good() | only_test(2, 5), ["0", "1", "2", "5"], [2, 3], ["test/0", "test/1"]),
    ({"x": images(2, 4, 5), "y": np.array([4, 4])}, ["4"], [0, 0], ["0", "1"]),
    ({"x_train": images(2, 4, 5), "y_train": np.array([4, 4])}, ["4"], [0, 0], ["train/0"]),
]


@SOURCES
@pytest.mark.parametrize(("content", "classes", "labels", "ids"), FURTHER)
def test_a_further_test_set_needs_test_images_only(
    source: str,
    spec_of: SpecOf,
    tmp_path: Path,
    content: dict[str, np.ndarray],
    classes: list[str],
    labels: list[int],
    ids: list[str],
) -> None:
    path = stored(source, tmp_path / "data", content)
    prepare(spec_of(source, path, test=1.0), path, tmp_path / "out.h5")
    expected = next(content[key] for key in ("x_test", "x", "x_train") if key in content)
    with open_images(tmp_path / "out.h5", None) as opened:
        assert opened.splits == ["test"]
        assert opened.classes == classes
        assert opened.labels("test").tolist() == labels
        assert opened.ids("test")[: len(ids)] == ids
        read = np.asarray(opened.read("test", 0, 99))
        assert (read == (expected if expected.ndim == 4 else expected[..., None])).all()


@SOURCES
def test_what_is_only_a_further_test_set_is_no_data_to_train_on(
    source: str, spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The hash of a file that is written just now is remembered too.
    monkeypatch.setattr(memo, "SETTLED_NS", -1_000_000_000)
    path = stored(source, tmp_path / "data", only_test(0, 1))
    spec = spec_of(source, path, test=1.0)
    assert spec.content in (tmp_path / "memo.json").read_text()
    with pytest.raises(UserError, match="missing 'x_train', 'y_train'"):
        spec_of(source, path)
    with pytest.raises(UserError, match="missing 'x_train', 'y_train'"):
        prepare(replace(spec, test=0.2), path, tmp_path / "out.h5")


@SOURCES
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "missing 'x_test', 'y_test'; it is empty"),
        ({"x_test": images(2, 4, 5)}, "missing 'y_test'"),
        (only_test(0, 1) | {"x": images(1, 4, 5), "y": np.array([0])}, "beside x_test and y_test"),
        (only_test(0, 1) | {"classes": np.array(["ant"])}, "label 1, but classes names only 1"),
    ],
)
def test_each_fault_of_a_further_test_set_is_named(
    source: str, spec_of: SpecOf, tmp_path: Path, content: dict[str, np.ndarray], message: str
) -> None:
    path = stored(source, tmp_path / "data", content)
    with pytest.raises(UserError, match=message):
        spec_of(source, path, test=1.0)


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"x_train": images(6, 4, 5, 3) / 255}, "x_train has dtype float64. Store"),
    ({"x_train": images(6, 4, 5, 3).astype(np.int32)}, "x_train has dtype int32"),
    ({"x_train": images(6, 3, 4, 5)}, "channels come last"),
    ({"x_train": images(6, 4, 5, 4)}, "alpha channel"),
    ({"x_train": images(6, 20)}, r"x_train has shape \(6, 20\)"),
    ({"x_test": images(0, 4, 5, 3), "y_test": np.zeros(0, int)}, "there is no image"),
    ({"y_train": np.array([0, 1, 2, 0, 1])}, "x_train has 6 images and y_train 5 labels"),
    ({"y_train": np.eye(6)[:, :3]}, "y_train has dtype float64"),
    ({"y_train": np.eye(6, dtype=int)[:, :3]}, r"y_train has shape \(6, 3\)"),
    ({"y_train": np.array(list("abcabc"))}, "names of classes go into"),
    ({"y_train": np.array([0, 1, -1, 0, 1, 2])}, "y_train has the label -1"),
    ({"y_train": np.array([True, False] * 3)}, "y_train has dtype bool"),
    ({"y_test": np.array([0, 1, 7])}, "y_test has the labels 7, which y_train lacks"),
    ({"classes": np.array(["ant", "bee"])}, "y_train has the label 2, but classes names only 2"),
    ({"classes": np.array(list("abcd"))}, "no image in x_train of the classes 'd'"),
    ({"classes": np.array(["ant", "bee", "ant"])}, "'ant' more than once"),
    ({"classes": np.array([1, 2, 3])}, "classes has dtype int64"),
    ({"y_train": np.zeros(6, int), "y_test": np.zeros(3, int)}, "'0' is the only class"),
    ({"y_train": None}, "missing 'y_train'"),
    ({"x_test": None}, "missing 'x_test'"),
    ({"x_train": None, "y_train": None}, "missing 'x_train', 'y_train'"),
    ({"x_val": images(2, 4, 5, 3)}, "unknown keys 'x_val'"),
    ({"x": images(2, 4, 5, 3), "y": np.array([0, 1])}, "Keep one pair"),
]


@SOURCES
@pytest.mark.parametrize(("change", "message"), FAULTS, ids=[message for _, message in FAULTS])
def test_each_fault_names_file_and_key_before_any_job(
    source: str, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    content = {key: value for key, value in (good() | change).items() if value is not None}
    path = stored(source, tmp_path / "bad.data", content)
    with pytest.raises(UserError, match=message) as error:
        identify(source, path, tmp_path / "memo.json")
    assert str(error.value).startswith(str(path))


@SOURCES
def test_unreadable_files_are_named(source: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    memo = tmp_path / "memo.json"
    with pytest.raises(UserError, match="no such file"):
        identify(source, path, memo)
    for content in (b"", b"hello", b"PK\3\4" + bytes(100), b"\x89HDF\r\n\x1a\n" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(UserError, match="data cannot be read as"):
            identify(source, path, memo)
    data = stored(source, path, good() | {"x_train": images(600, 4, 5, 3)}).read_bytes()
    path.write_bytes(data[:-2000])
    with pytest.raises(UserError, match="data cannot be read as"):
        identify(source, path, memo)
    stored(source, path, {})
    with pytest.raises(UserError, match="it is empty"):
        identify(source, path, memo)


def test_damaged_pixels_in_an_npz_are_noticed(spec_of: SpecOf, tmp_path: Path) -> None:
    path = stored("npz", tmp_path / "data", good() | {"x_train": images(6, 40, 50, 3)})
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="x_train cannot be read"):
        prepare(spec_of("npz", path), path, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    for key in ("x_train", "y_train", "classes"):
        trap = np.array([Trap()] * 6, dtype=object)
        path = tmp_path / "data"
        with path.open("wb") as file:
            np.savez(file, **(good() | {key: trap}))  # type: ignore[arg-type]
        with pytest.raises(UserError, match=f"{key} has dtype object"):
            identify("npz", path, tmp_path / "memo.json")
    assert not (tmp_path / "sprung").exists()


def test_a_single_array_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", images(6, 4, 5, 3))
    with pytest.raises(UserError, match=r"cannot be read as \.npz"):
        identify("npz", tmp_path / "data.npy", tmp_path / "memo.json")


def test_hdf5_data_that_lies_in_other_files_is_refused(tmp_path: Path) -> None:
    stored("hdf5", tmp_path / "other.h5", good())
    content = {key: value for key, value in good().items() if key != "x_train"}
    stored("hdf5", tmp_path / "linked.h5", content)
    with h5py.File(tmp_path / "linked.h5", "a") as file:
        file["x_train"] = h5py.ExternalLink("other.h5", "x_train")
    with pytest.raises(UserError, match="missing 'x_train'"):
        identify("hdf5", tmp_path / "linked.h5", tmp_path / "memo.json")
    stored("hdf5", tmp_path / "virtual.h5", content)
    virtual = h5py.VirtualLayout((6, 4, 5, 3), np.uint8)
    virtual[:] = h5py.VirtualSource(tmp_path / "other.h5", "x_train", (6, 4, 5, 3))
    with h5py.File(tmp_path / "virtual.h5", "a") as file:
        file.create_virtual_dataset("x_train", virtual)
    with pytest.raises(UserError, match="other files"):
        identify("hdf5", tmp_path / "virtual.h5", tmp_path / "memo.json")


@SOURCES
def test_the_content_is_the_identity(source: str, spec_of: SpecOf, tmp_path: Path) -> None:
    path = stored(source, tmp_path / "data", good())
    before = spec_of(source, path)
    assert spec_of(source, path.rename(tmp_path / "moved")) == before
    changed = good()
    changed["x_test"][0, 0, 0, 0] ^= 1
    stored(source, tmp_path / "moved", changed)
    assert spec_of(source, tmp_path / "moved") != before
    with pytest.raises(UserError, match="changed while the study was running"):
        prepare(before, tmp_path / "moved", tmp_path / "out.h5")

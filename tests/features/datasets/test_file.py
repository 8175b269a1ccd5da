"""The dataset file itself."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.datasets import DatasetSpec, open_images
from features.datasets.file import Split, write_dataset
from features.errors import UserError
from features.files import fingerprint

SPEC = DatasetSpec("npz", "content", 0.2, 0, (("train", 4),))


def small(count: int = 4) -> Split:
    images = np.arange(count * 12, dtype=np.uint8).reshape(count, 2, 2, 3)
    ids = [str(number) for number in range(count)]
    return Split(
        np.zeros(count, np.int32), ids, shape=images.shape, blocks=[images[:1], images[1:]]
    )


def test_blocks_are_joined_and_the_images_are_contiguous(tmp_path: Path) -> None:
    write_dataset(tmp_path / "a.h5", SPEC, ["ant", "bee"], {"train": small(), "test": small(2)})
    with open_images(tmp_path / "a.h5", None) as images:
        assert np.asarray(images.read("train", 0, 4)).ravel().tolist() == list(range(48))
        assert np.asarray(images.read("train", 1, 3)).ravel().tolist() == list(range(12, 36))
        assert len(images.read("test", 1, 9)) == 1
        assert len(images.read("test", 5, 9)) == 0
        assert images.spec["limit"] == [["train", 4]]
        assert images.fingerprint == fingerprint(images.spec)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["train/images"].chunks is None


def test_many_classes_and_long_names_fit(tmp_path: Path) -> None:
    classes = [f"class {number} " + "x" * 200 for number in range(5000)]
    write_dataset(tmp_path / "a.h5", SPEC, classes, {"train": small(), "test": small()})
    with open_images(tmp_path / "a.h5", None) as images:
        assert images.classes == classes


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.h5"
    write_dataset(path, SPEC, ["ant", "bee"], {"train": small(200), "test": small()})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"a\.h5 cannot be read"):
        open_images(path, None)


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.h5"):
        open_images(tmp_path / "none.h5", None)
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(UserError, match=r"text\.h5"):
        open_images(tmp_path / "text.h5", None)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["train/images"] = [1, 2, 3]
    with pytest.raises(UserError, match="no dataset file"):
        open_images(tmp_path / "other.h5", None)


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def blocks():  # type: ignore[no-untyped-def]
        yield np.zeros((1, 2, 2, 3), np.uint8)
        raise UserError("the source ended")

    split = Split(np.zeros(4, np.int32), list("abcd"), shape=(4, 2, 2, 3), blocks=blocks())
    with pytest.raises(UserError, match="the source ended"):
        write_dataset(tmp_path / "a.h5", SPEC, ["ant", "bee"], {"train": split})
    assert list(tmp_path.iterdir()) == []


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(classes=st.lists(TEXT, max_size=5), ids=st.lists(TEXT, min_size=4, max_size=4))
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, classes: list[str], ids: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "text.h5"
    images = np.zeros((4, 1, 1, 3), np.uint8)
    split = Split(np.zeros(4, np.int32), ids, shape=images.shape, blocks=[images])
    write_dataset(path, SPEC, classes, {"train": split})
    with open_images(path, None) as opened:
        assert opened.classes == classes
        assert opened.ids("train") == ids

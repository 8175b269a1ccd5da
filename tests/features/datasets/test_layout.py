"""Which folders are splits and which are classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.datasets.layout import Layout, arrange
from features.errors import UserError


def arranged(*files: str, empty: tuple[str, ...] = (), only_test: bool = False) -> Layout:
    folders = {
        "/".join(parts[:depth])
        for parts in [*(file.split("/")[:-1] for file in files), *(e.split("/") for e in empty)]
        for depth in range(1, len(parts) + 1)
    }
    return arrange("pets", folders, files, only_test)


def test_folders_are_classes() -> None:
    layout = arranged("dog/1.jpg", "cat/2.jpg", "cat/1.jpg")
    assert layout.classes == ["cat", "dog"]
    assert layout.splits == {"train": [("cat/1.jpg", 0), ("cat/2.jpg", 0), ("dog/1.jpg", 1)]}


@pytest.mark.parametrize("validation", ["validation", "val", "valid", "Val"])
def test_folders_are_splits_that_hold_classes(validation: str) -> None:
    layout = arranged(
        "train/cat/1.jpg",
        "train/dog/1.jpg",
        "test/dog/7.jpg",
        "test/cat/7.jpg",
        f"{validation}/dog/1.jpg",
    )
    assert list(layout.splits) == ["train", "validation", "test"]
    assert layout.splits["validation"] == [(f"{validation}/dog/1.jpg", 1)]
    assert layout.splits["test"] == [("test/cat/7.jpg", 0), ("test/dog/7.jpg", 1)]


def test_a_single_folder_around_all_is_looked_through() -> None:
    plain = arranged("train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg")
    packed = arranged("pets/train/cat/1.jpg", "pets/train/dog/1.jpg", "pets/test/cat/1.jpg")
    assert packed.base == "pets/"
    assert packed.splits == plain.splits
    assert arranged("pets/cat/1.jpg", "pets/dog/1.jpg").ids == ["cat/1.jpg", "dog/1.jpg"]


def test_a_folder_train_alone_is_a_split() -> None:
    assert arranged("train/cat/1.jpg", "train/dog/1.jpg").ids == [
        "train/cat/1.jpg",
        "train/dog/1.jpg",
    ]


def test_images_below_subfolders_of_a_class_belong_to_it() -> None:
    layout = arranged("cat/2020/1.jpg", "cat/2021/1.jpg", "dog/1.jpg")
    assert layout.classes == ["cat", "dog"]
    assert len(layout.splits["train"]) == 3


def test_a_class_may_be_called_train() -> None:
    assert arranged("train/1.jpg", "bus/1.jpg").classes == ["bus", "train"]


def test_images_in_no_class_folder_are_left_out() -> None:
    assert arranged("sheet.jpg", "cat/1.jpg", "dog/1.jpg").ids == ["cat/1.jpg", "dog/1.jpg"]


@pytest.mark.parametrize(
    ("files", "empty", "message"),
    [
        (("cat/1.jpg",), (), "'cat' is the only class"),
        (("cat/1.jpg",), ("bird", "dog"), "class folders 'bird', 'dog'"),
        (("train/cat/1.jpg", "train/dog/1.jpg"), ("test/cat",), "'test/cat'"),
        (("train/cat/1.jpg", "train/dog/1.jpg"), ("test",), "pets/test: no class folders: it is"),
        ((), (), "no class folders: it is empty"),
        ((), ("cat", "dog"), "no images"),
        (("1.jpg", "2.jpg"), (), "no class folders: images lie in it directly"),
        (("train/1.jpg", "test/1.jpg"), (), "pets/train: no class folders: images lie in it"),
        (
            ("train/cat/1.jpg", "train/dog/1.jpg", "test/cow/1.jpg"),
            (),
            "the test split has the classes 'cow' that train lacks",
        ),
        (("test/cat/1.jpg", "val/cat/1.jpg"), (), "no folder 'train'"),
        (
            ("train/cat/1.jpg", "train/dog/1.jpg", "val/cat/1.jpg", "valid/cat/1.jpg"),
            (),
            "'val' and 'valid' are both the validation split",
        ),
        (("train/cat/1.jpg", "train/dog/1.jpg", "extra/1.jpg"), (), "'extra' stands beside"),
    ],
)
def test_each_fault_is_named(files: tuple[str, ...], empty: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError) as error:
        arranged(*files, empty=empty)
    assert message in str(error.value)
    assert str(error.value).startswith("pets")


@pytest.mark.parametrize(
    ("files", "classes", "splits"),
    [
        (("cat/1.jpg",), ["cat"], ["train"]),
        (("pets/cat/1.jpg",), ["cat"], ["train"]),
        (("test/cat/1.jpg",), ["cat"], ["test"]),
        (("pets/test/cat/1.jpg", "pets/test/dog/1.jpg"), ["cat", "dog"], ["test"]),
        (("val/cat/1.jpg",), ["cat"], ["validation"]),
        (("train/dog/1.jpg", "test/cat/1.jpg"), ["cat", "dog"], ["train", "test"]),
    ],
)
def test_a_further_test_set_needs_neither_train_nor_a_second_class(
    files: tuple[str, ...], classes: list[str], splits: list[str]
) -> None:
    layout = arranged(*files, only_test=True)
    assert layout.classes == classes
    assert list(layout.splits) == splits
    assert sorted(layout.base + name for name in layout.ids) == sorted(files)
    with pytest.raises(UserError):
        arranged(*files)


def test_a_further_test_set_has_no_empty_folder() -> None:
    with pytest.raises(UserError, match="'test/dog'"):
        arranged("test/cat/1.jpg", empty=("test/dog",), only_test=True)


def test_many_faults_are_counted() -> None:
    with pytest.raises(UserError, match="and 5 more"):
        arranged("a/1.jpg", empty=tuple(f"empty{number:02d}" for number in range(25)))


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


@given(st.sets(NAMES, min_size=2, max_size=5), st.sets(NAMES, min_size=1, max_size=4))
def test_every_image_of_a_class_is_found_once(classes: set[str], images: set[str]) -> None:
    layout = arranged(*(f"train/{cls}/{image}" for cls in classes for image in images))
    assert layout.classes == sorted(classes)
    assert sorted(layout.ids) == sorted(f"train/{c}/{i}" for c in classes for i in images)
    assert all(name.split("/")[1] == layout.classes[y] for name, y in layout.splits["train"])

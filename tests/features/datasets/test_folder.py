"""Folders of image files, from files to arrays."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from features.datasets import DatasetSpec, file, memo, open_images, prepare
from features.errors import UserError

SPLIT = {"train/cat": 5, "train/dog": 4, "val/dog": 1, "test/cat": 2, "test/dog": 1}
PLAIN = {"cat": 8, "dog": 12}

MakeFolder = Callable[..., Path]
SpecOf = Callable[..., DatasetSpec]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_splits_labels_ids_and_pixels_are_those_of_the_files(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder(SPLIT)
    prepare(spec_of("folder", root), root, tmp_path / "pets.h5")
    with open_images(tmp_path / "pets.h5", root) as images:
        assert images.classes == ["cat", "dog"]
        assert images.splits == ["train", "validation", "test"]
        assert images.labels("train").tolist() == [0] * 5 + [1] * 4
        assert images.labels("train").dtype == np.int32
        assert images.ids("validation") == ["val/dog/000.png"]
        assert images.ids("test") == ["test/cat/000.png", "test/cat/001.png", "test/dog/000.png"]
        for split in images.splits:
            block = images.read(split, 0, 99)
            assert isinstance(block, np.ndarray)
            assert block.dtype == np.uint8
            expected = [pixels(root / name) for name in images.ids(split)]
            assert np.array_equal(block, np.stack(expected))


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (2, 7), (8, 50), (0, 9), (3, 3), (50, 60)])
def test_a_read_is_a_slice(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path, start: int, stop: int
) -> None:
    root = make_folder(SPLIT)
    prepare(spec_of("folder", root), root, tmp_path / "pets.h5")
    with open_images(tmp_path / "pets.h5", root) as images:
        names = images.ids("train")[start:stop]
        block = images.read("train", start, stop)
        assert len(block) == len(names)
        for image, name in zip(block, names, strict=True):
            assert np.array_equal(image, pixels(root / name))


def test_images_of_several_sizes_come_as_a_list(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder(PLAIN)
    Image.new("RGB", (30, 20), "red").save(root / "cat/100.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (30, 20), "red").save(root / "cat/101.jpg", exif=turned)
    prepare(spec_of("folder", root), root, tmp_path / "pets.h5")
    with h5py.File(tmp_path / "pets.h5") as opened:
        sizes = {
            name: size
            for split in ("train", "test")
            for name, size in zip(
                opened[split]["ids"].asstr(), opened[split]["sizes"][()].tolist(), strict=True
            )
        }
    assert sizes["cat/100.jpg"] == [20, 30]
    assert sizes["cat/101.jpg"] == [30, 20]
    with open_images(tmp_path / "pets.h5", root) as images:
        for split in images.splits:
            block = images.read(split, 0, 99)
            for name, image in zip(images.ids(split), block, strict=True):
                assert list(image.shape) == [*sizes[name], 3]


def test_a_test_split_is_drawn_where_there_is_none(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder(PLAIN)
    spec = spec_of("folder", root)
    prepare(spec, root, tmp_path / "pets.h5")
    with open_images(tmp_path / "pets.h5", root) as images:
        assert images.splits == ["train", "test"]
        assert np.bincount(images.labels("test")).tolist() == [2, 3]
        train, test = images.ids("train"), images.ids("test")
        assert train == sorted(train)
        assert test == sorted(test)
        assert sorted(train + test) == sorted(
            f"{cls}/{number:03d}.png" for cls, count in PLAIN.items() for number in range(count)
        )
    prepare(replace(spec, seed=1), root, tmp_path / "other.h5")
    with open_images(tmp_path / "other.h5", root) as images:
        assert images.ids("test") != test


@pytest.mark.parametrize(
    ("counts", "ids"),
    [
        ({"test/cat": 2, "test/dog": 1}, ["test/cat/000.png", "test/cat/001.png"]),
        ({"cat": 2}, ["cat/000.png", "cat/001.png"]),
        ({"cat": 1, "dog": 1}, ["cat/000.png", "dog/000.png"]),
        (SPLIT, ["test/cat/000.png", "test/cat/001.png"]),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_further_test_set_needs_test_images_only(
    make_folder: MakeFolder,
    spec_of: SpecOf,
    tmp_path: Path,
    counts: dict[str, int],
    ids: list[str],
    packed: bool,
) -> None:
    root = path = make_folder(counts)
    if packed:
        path = tmp_path / "pets.tar"
        with tarfile.open(path, "w") as tar:
            tar.add(root, ".")
    spec = spec_of("folder", path, test=1.0)
    assert spec == spec_of("folder", root, test=1.0)
    prepare(spec, path, tmp_path / "pets.h5")
    with open_images(tmp_path / "pets.h5", None if packed else root) as images:
        assert images.splits == ["test"]
        assert images.ids("test")[:2] == ids
        for name, label, image in zip(
            images.ids("test"), images.labels("test"), images.read("test", 0, 9), strict=True
        ):
            assert name.split("/")[-2] == images.classes[label]
            assert np.array_equal(image, pixels(root / name))


@pytest.mark.parametrize("counts", [{"test/cat": 2, "test/dog": 1}, {"cat": 2}])
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_only_a_further_test_set_is_no_data_to_train_on(
    make_folder: MakeFolder,
    spec_of: SpecOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counts: dict[str, int],
    packed: bool,
) -> None:
    # The hash of a file that is written just now is remembered too.
    monkeypatch.setattr(memo, "SETTLED_NS", -1_000_000_000)
    path = make_folder(counts)
    if packed:
        with tarfile.open(tmp_path / "pets.tar", "w") as tar:
            tar.add(path, ".")
        path = tmp_path / "pets.tar"
    spec = spec_of("folder", path, test=1.0)
    assert spec.content in (tmp_path / "memo.json").read_text()
    message = "no folder 'train'|is the only class"
    with pytest.raises(UserError, match=message):
        spec_of("folder", path)
    with pytest.raises(UserError, match=message):
        prepare(replace(spec, test=0.2), path, tmp_path / "pets.h5")


def test_a_further_test_set_may_lose_a_class_but_not_every_image(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder({"cat": 2, "dog": 1})
    (root / "dog/000.png").write_bytes(b"broken")
    prepare(spec_of("folder", root, test=1.0), root, tmp_path / "pets.h5", max_broken=1)
    with open_images(tmp_path / "pets.h5", root) as images:
        assert images.classes == ["cat", "dog"]
        assert images.labels("test").tolist() == [0, 0]
    for path in (root / "cat").iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(UserError, match="every image of the test split is broken"):
        prepare(spec_of("folder", root, test=1.0), root, tmp_path / "b.h5", max_broken=3)


def test_a_limit_keeps_labels_and_images_together(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder(PLAIN)
    prepare(spec_of("folder", root, limit=(("train", 5),)), root, tmp_path / "pets.h5")
    with open_images(tmp_path / "pets.h5", root) as images:
        assert images.labels("train").tolist() == [0, 0, 1, 1, 1]
        for name, label, image in zip(
            images.ids("train"), images.labels("train"), images.read("train", 0, 5), strict=True
        ):
            assert name.split("/")[0] == images.classes[label]
            assert np.array_equal(image, pixels(root / name))


def test_the_same_images_give_the_same_dataset_file(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder({"cat": 60, "dog": 60})
    spec = spec_of("folder", root)
    copy = shutil.copytree(root, tmp_path / "copy")
    for number, path in enumerate((root, root, copy)):
        prepare(spec, path, tmp_path / f"{number}.h5")
    assert len({(tmp_path / f"{number}.h5").read_bytes() for number in range(3)}) == 1
    with open_images(tmp_path / "0.h5", root) as images:
        whole = images.read("train", 0, 200)
        parts = [images.read("train", start, start + 7) for start in range(0, len(whole), 7)]
        assert np.array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("inside", ["", "pets"])
@pytest.mark.parametrize("files", [2, 64])
def test_an_archive_gives_what_its_folder_gives(
    make_folder: MakeFolder,
    spec_of: SpecOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    inside: str,
    files: int,
) -> None:
    monkeypatch.setattr(file, "FILES_PER_WRITE", files)
    root = make_folder(SPLIT)
    (root / "notes.txt").write_text("no image")
    (root / "train/cat/003.png").write_bytes(b"")
    archive = tmp_path / "pets.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root, inside or ".")
    output = tmp_path / "cache/pets-12345678.h5"
    prepare(spec_of("folder", archive), archive, output, max_broken=1)
    assert [path.name for path in output.parent.iterdir()] == ["pets-12345678.h5"]
    prepare(spec_of("folder", root), root, tmp_path / "folder.h5", max_broken=1)
    archive.unlink()
    with (
        open_images(output, None) as packed,
        open_images(tmp_path / "folder.h5", root) as plain,
    ):
        assert packed.spec == plain.spec
        assert packed.broken == plain.broken
        for split in plain.splits:
            assert packed.ids(split) == plain.ids(split)
            assert packed.labels(split).tolist() == plain.labels(split).tolist()
            for start, stop in ((0, 99), (0, 1), (1, 3), (2, 8), (7, 7), (99, 100)):
                assert np.array_equal(
                    packed.read(split, start, stop), plain.read(split, start, stop)
                )


def test_a_damaged_copy_of_an_archive_is_noticed(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder(SPLIT)
    with tarfile.open(tmp_path / "pets.tar", "w") as tar:
        tar.add(root, ".")
    prepare(spec_of("folder", tmp_path / "pets.tar"), tmp_path / "pets.tar", tmp_path / "pets.h5")
    with h5py.File(tmp_path / "pets.h5", "a") as opened:
        opened["train/encoded"][-1] ^= 1
    with (
        open_images(tmp_path / "pets.h5", None) as images,
        pytest.raises(UserError, match=r"train/dog/003\.png changed"),
    ):
        images.read("train", 0, 99)


def test_images_are_found_whether_or_not_their_folder_is_named(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder(SPLIT, "around/pets")
    prepare(spec_of("folder", root.parent), root.parent, tmp_path / "pets.h5")
    for place in (root, root.parent):
        with open_images(tmp_path / "pets.h5", place) as images:
            assert len(images.read("train", 0, 9)) == 9
    with pytest.raises(UserError, match=r"train/cat/000\.png"):
        open_images(tmp_path / "pets.h5", None)


def test_broken_images_stop_the_work_and_are_all_named(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder(PLAIN)
    (root / "cat/001.png").write_bytes((root / "cat/001.png").read_bytes()[:60])
    (root / "dog/002.png").write_bytes(b"")
    (root / "dog/page.jpg").write_text("<html>")
    with pytest.raises(UserError) as error:
        prepare(spec_of("folder", root), root, tmp_path / "pets.h5", max_broken=2)
    for part in ("3 of 21 images", "cat/001.png: ", "dog/002.png: the file is empty"):
        assert part in str(error.value)
    assert "dog/page.jpg: not a JPEG" in str(error.value)
    assert "dataset.max_broken" in str(error.value)
    assert not (tmp_path / "pets.h5").exists()


def test_many_broken_images_are_counted(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder({"cat": 2, "dog": 30})
    for path in (root / "dog").iterdir():
        path.write_bytes(b"broken")
    spec = spec_of("folder", root)
    with pytest.raises(UserError, match="and 10 more"):
        prepare(spec, root, tmp_path / "pets.h5")
    with pytest.raises(UserError, match="every image of class 'dog' is broken"):
        prepare(spec, root, tmp_path / "pets.h5", max_broken=30)
    root = make_folder({"train/cat": 2, "train/dog": 2, "test/cat": 1}, "other")
    (root / "test/cat/000.png").write_bytes(b"")
    with pytest.raises(UserError, match="every image of the test split is broken"):
        prepare(spec_of("folder", root), root, tmp_path / "pets.h5", max_broken=1)


def test_broken_images_are_skipped_and_recorded_where_the_study_allows_it(
    make_folder: MakeFolder,
    spec_of: SpecOf,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = make_folder(SPLIT)
    (root / "train/cat/001.png").write_bytes(b"broken")
    (root / "test/dog/000.png").write_bytes(b"")
    prepare(spec_of("folder", root), root, tmp_path / "pets.h5", max_broken=2)
    assert "train/cat/001.png" in caplog.text
    with open_images(tmp_path / "pets.h5", root) as images:
        assert [one["file"] for one in images.broken] == ["train/cat/001.png", "test/dog/000.png"]
        assert "train/cat/001.png" not in images.ids("train")
        assert images.labels("train").tolist() == [0] * 4 + [1] * 4
        assert images.labels("test").tolist() == [0, 0]
        assert len(images.read("train", 0, 99)) == 8


def test_an_image_that_changes_after_the_plan_is_noticed(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder(SPLIT)
    spec = spec_of("folder", root)
    prepare(spec, root, tmp_path / "pets.h5")
    shutil.copy(root / "train/cat/000.png", root / "train/cat/003.png")
    with open_images(tmp_path / "pets.h5", root) as images:
        assert len(images.read("train", 0, 3)) == 3
        with pytest.raises(UserError, match=r"train/cat/003\.png changed"):
            images.read("train", 0, 9)
    with pytest.raises(UserError, match="changed while the study was running"):
        prepare(spec, root, tmp_path / "again.h5")
    (root / "train/cat/003.png").unlink()
    with (
        open_images(tmp_path / "pets.h5", root) as images,
        pytest.raises(UserError, match=r"003\.png cannot be read"),
    ):
        images.read("train", 0, 9)


def test_an_archive_with_broken_images_leaves_nothing(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder(PLAIN)
    (root / "cat/001.png").write_bytes(b"broken")
    with tarfile.open(tmp_path / "pets.tar", "w") as tar:
        tar.add(root, ".")
    output = tmp_path / "cache/pets.h5"
    with pytest.raises(UserError, match="broken"):
        prepare(spec_of("folder", tmp_path / "pets.tar"), tmp_path / "pets.tar", output)
    assert list(output.parent.glob("[!.]*")) == []


def test_names_in_any_script_are_kept(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder({"猫 & <cat>": 3, "Hündchen": 3})
    prepare(spec_of("folder", root), root, tmp_path / "pets.h5")
    with open_images(tmp_path / "pets.h5", root) as images:
        assert images.classes == ["Hündchen", "猫 & <cat>"]
        assert all((root / name).is_file() for name in images.ids("train"))


def test_the_file_can_be_read_with_h5py_alone(
    make_folder: MakeFolder, spec_of: SpecOf, tmp_path: Path
) -> None:
    root = make_folder(SPLIT)
    spec = spec_of("folder", root)
    prepare(spec, root, tmp_path / "pets.h5")
    with h5py.File(tmp_path / "pets.h5") as opened:
        assert json.loads(opened.attrs["classes"]) == ["cat", "dog"]
        assert json.loads(opened.attrs["spec"])["content"] == spec.content
        assert opened["train/labels"].dtype == np.int32
        assert opened["train/labels"].chunks is None
        assert opened["train/sha256"].shape == (9, 32)
        assert "images" not in opened["train"]

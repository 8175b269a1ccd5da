"""Content is the identity: not place, not time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from features.datasets import identify
from features.datasets.memo import remembered
from features.errors import UserError

TWO = {"cat": 3, "dog": 2}


def folder_identity(path: Path) -> str:
    return identify("folder", path, path.parent / f"memo-{time.monotonic_ns()}.json")


def test_moved_copied_and_touched_folders_keep_their_identity(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_folder(TWO)
    before = folder_identity(root)
    copy = shutil.copytree(root, tmp_path / "copy")
    assert folder_identity(copy) == before
    for path in root.rglob("*"):
        os.utime(path)
    assert folder_identity(root) == before
    assert folder_identity(root.rename(tmp_path / "elsewhere")) == before


def test_a_changed_byte_a_new_image_and_a_new_name_change_the_identity(
    make_folder: Callable[..., Path],
) -> None:
    root = make_folder(TWO)
    seen = {folder_identity(root)}
    image = root / "cat/000.png"
    data = bytearray(image.read_bytes())
    data[-20] ^= 1
    image.write_bytes(data)
    seen.add(folder_identity(root))
    image.rename(root / "cat/other.png")
    seen.add(folder_identity(root))
    (root / "cat/other.png").rename(root / "dog/other.png")
    seen.add(folder_identity(root))
    shutil.copy(root / "cat/001.png", root / "cat/009.png")
    seen.add(folder_identity(root))
    assert len(seen) == 5


def test_what_is_no_image_is_no_part_of_the_identity(make_folder: Callable[..., Path]) -> None:
    root = make_folder(TWO)
    before = folder_identity(root)
    (root / "README.txt").write_text("about cats")
    (root / "cat/Thumbs.db").write_bytes(b"x")
    (root / "cat/._000.png").write_bytes(b"x")
    (root / ".cache/cat").mkdir(parents=True)
    (root / ".cache/cat/1.png").write_bytes(b"x")
    (root / "__MACOSX").mkdir()
    assert folder_identity(root) == before


def test_a_change_that_keeps_size_and_time_is_seen_by_the_same_memo(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_folder(TWO)
    image = root / "cat/000.png"
    os.utime(image, (1_000_000_000, 1_000_000_000))
    before = identify("folder", root, tmp_path / "memo.json")
    data = bytearray(image.read_bytes())
    data[-20] ^= 1
    image.write_bytes(data)
    os.utime(image, (1_000_000_000, 1_000_000_000))
    assert identify("folder", root, tmp_path / "memo.json") != before


def pack_tar(root: Path, path: Path, inside: str = "") -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as tar:
        tar.add(root, arcname=inside or ".")
    return path


def pack_zip(root: Path, path: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, Path(inside) / file.relative_to(root))
    return path


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tgz", "zip"])
@pytest.mark.parametrize("inside", ["", "pets"])
@pytest.mark.parametrize(
    "counts", [TWO, {"train/cat": 2, "train/dog": 1, "test/cat": 1, "test/dog": 1}]
)
def test_an_archive_has_the_identity_of_its_folder(
    make_folder: Callable[..., Path],
    tmp_path: Path,
    suffix: str,
    inside: str,
    counts: dict[str, int],
) -> None:
    root = make_folder(counts)
    (root / "notes.txt").write_text("no image")
    pack = pack_zip if suffix == "zip" else pack_tar
    archive = pack(root, tmp_path / f"pets.{suffix}", inside)
    assert folder_identity(archive) == folder_identity(root)


def test_a_single_folder_around_all_keeps_the_identity(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_folder(TWO)
    around = tmp_path / "around"
    shutil.copytree(root, around / "pets")
    assert folder_identity(around) == folder_identity(root)


def test_an_archive_with_an_empty_class_is_refused(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_folder({**TWO, "bird": 0})
    for archive in (pack_tar(root, tmp_path / "a.tar"), pack_zip(root, tmp_path / "a.zip")):
        with pytest.raises(UserError, match="'bird'"):
            folder_identity(archive)


@pytest.mark.parametrize("name", ["../cat/1.png", "/cat/1.png", "cat/../../1.png"])
def test_an_archive_that_leads_out_of_itself_is_refused(
    make_folder: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    image = make_folder(TWO) / "cat/000.png"
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(image, "cat/000.png")
        member = tarfile.TarInfo(name)
        member.size = image.stat().st_size
        with image.open("rb") as file:
            tar.addfile(member, file)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(image, "cat/000.png")
        archive.writestr(name, image.read_bytes())
    for archive_path in (tmp_path / "a.tar", tmp_path / "a.zip"):
        with pytest.raises(UserError, match="lead out"):
            folder_identity(archive_path)


def test_links_in_an_archive_are_refused(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    root = make_folder(TWO)
    (root / "cat/link.png").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match=r"cat/link\.png"):
        folder_identity(pack_tar(root, tmp_path / "a.tar"))
    (root / "cat/link.png").unlink()
    (root / "cat/link.png").hardlink_to(root / "cat/000.png")
    with pytest.raises(UserError, match="a link"):
        folder_identity(pack_tar(root, tmp_path / "b.tar"))
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        link = zipfile.ZipInfo("cat/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="a link"):
        folder_identity(tmp_path / "c.zip")


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
def test_a_corrupt_archive_is_refused(
    make_folder: Callable[..., Path], tmp_path: Path, suffix: str
) -> None:
    root = make_folder({"cat": 20, "dog": 20})
    pack = pack_zip if suffix == "zip" else pack_tar
    archive = pack(root, tmp_path / f"pets.{suffix}")
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2 + 100])
    with pytest.raises(UserError, match="corrupt"):
        folder_identity(archive)
    archive.write_bytes(b"<html>404 Not Found</html>" * 100)
    with pytest.raises(UserError, match="corrupt"):
        folder_identity(archive)


def test_missing_and_foreign_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        folder_identity(tmp_path / "nowhere")
    (tmp_path / "images.rar").write_bytes(b"x")
    with pytest.raises(UserError, match="neither a folder"):
        folder_identity(tmp_path / "images.rar")
    with pytest.raises(UserError, match=r"dataset\.path is missing"):
        identify("folder", None, tmp_path / "memo.json")
    with pytest.raises(UserError, match="cifar100"):
        identify("imagenet", None, tmp_path / "memo.json")


def test_linked_folders_are_read_and_loops_are_named(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_folder(TWO)
    farm = tmp_path / "farm"
    farm.mkdir()
    for name in TWO:
        (farm / name).symlink_to(root / name)
    assert folder_identity(farm) == folder_identity(root)
    (root / "cat/again").symlink_to(root)
    with pytest.raises(UserError, match="link back"):
        folder_identity(root)


def test_a_link_to_nothing_is_named(make_folder: Callable[..., Path]) -> None:
    root = make_folder(TWO)
    (root / "cat/gone.png").symlink_to(root / "nothing.png")
    with pytest.raises(UserError, match=r"gone\.png cannot be read"):
        folder_identity(root)


def test_a_settled_file_is_read_once_and_a_changed_one_again(tmp_path: Path) -> None:
    reads = []

    def compute() -> str:
        reads.append(1)
        return f"content {len(reads)}"

    memo = tmp_path / "cache/memo.json"
    old = {"cat/1.png": (100, 10**18, 10**18)}
    assert remembered(memo, "pets", old, compute) == "content 1"
    assert remembered(memo, "pets", old, compute) == "content 1"
    assert remembered(memo, "other pets", old, compute) == "content 2"
    for changed in ((101, 10**18, 10**18), (100, 10**18 + 1, 10**18), (100, 10**18, 10**18 + 1)):
        count = len(reads)
        remembered(memo, "pets", {"cat/1.png": changed}, compute)
        assert len(reads) == count + 1


def test_a_file_that_has_just_changed_is_not_trusted_yet(tmp_path: Path) -> None:
    answers = iter(["first", "second"])
    fresh = {"1.png": (100, time.time_ns(), time.time_ns())}
    memo = tmp_path / "memo.json"
    assert remembered(memo, "pets", fresh, lambda: next(answers)) == "first"
    assert remembered(memo, "pets", fresh, lambda: next(answers)) == "second"


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"pets": 3}', '{"pets": ["a", "b", "c"]}'])
def test_a_damaged_memo_is_made_anew(tmp_path: Path, content: str) -> None:
    memo = tmp_path / "memo.json"
    memo.write_text(content)
    old = {"1.png": (1, 10**18, 10**18)}
    assert remembered(memo, "pets", old, lambda: "content") == "content"
    assert remembered(memo, "pets", old, lambda: "unread") == "content"


def test_a_memo_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    old = {"1.png": (1, 10**18, 10**18)}
    assert remembered(tmp_path / "file/memo.json", "pets", old, lambda: "content") == "content"


def test_jobs_that_share_a_memo_do_not_disturb_each_other(tmp_path: Path) -> None:
    memo = tmp_path / "memo.json"
    old = {"1.png": (1, 10**18, 10**18)}
    answers: list[str] = []

    def job(number: int) -> None:
        for turn in range(20):
            name = f"{number} {turn}"
            answers.append(remembered(memo, name, old, lambda name=name: name) == name)

    threads = [threading.Thread(target=job, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 80
    assert all(answers)
    assert [path.name for path in tmp_path.iterdir()] == ["memo.json"]


def test_identifying_loads_no_heavy_library(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from features.datasets import identify\n"
        f"identify('folder', Path({str(make_folder(TWO))!r}), Path({str(tmp_path / 'm.json')!r}))\n"
        "for s in ('digits', 'cifar10', 'cifar100'): identify(s, None, Path('m.json'))\n"
        "print(sorted({'tensorflow', 'keras', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_is_no_text_is_named(make_folder: Callable[..., Path]) -> None:
    root = make_folder(TWO)
    try:
        Image.new("RGB", (2, 2)).save(os.fsencode(root / "cat") + b"/\xff.png", "PNG")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    with pytest.raises(UserError, match="no UTF-8 name"):
        folder_identity(root)

"""CIFAR-10 and CIFAR-100, on archives that are made like the official ones but small."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.datasets import DatasetSpec, archive_at_hand, cifar, identify, open_images, prepare
from features.datasets.cifar import OFFICIAL
from features.datasets.hashing import hash_large_file
from features.errors import UserError


class OldType:
    """Pickles as the dtype uint8 did under Python 2, with integers as flags."""

    def __reduce__(self) -> tuple[Any, ...]:
        return np.dtype, ("u1", 0, 1), (3, "|", None, None, None, -1, -1, 0)


class OldArray:
    """Pickles as an array did under Python 2."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __reduce__(self) -> tuple[Any, ...]:
        make = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        state = (1, self.array.shape, OldType(), False, self.array.tobytes())
        return make, (np.ndarray, (0,), b"b"), state


def make_archive(source: str, path: Path) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Writes a small archive; gives the images and labels of each split."""
    official = OFFICIAL[source]
    random = np.random.default_rng(0)
    expected = {}
    with tarfile.open(path, "w:gz") as tar:
        for split, names in official.batches.items():
            images = random.integers(0, 256, (len(names) * 100, 32, 32, 3), dtype=np.uint8)
            labels = list(range(len(official.classes))) * (
                len(names) * 100 // len(official.classes)
            )
            expected[split] = images, labels
            for number, name in enumerate(names):
                rows = slice(number * 100, number * 100 + 100)
                planes = images[rows].transpose(0, 3, 1, 2).reshape(100, 3072)
                batch = {b"data": OldArray(planes), official.labels: labels[rows]}
                data = pickle.dumps(batch, protocol=2)
                member = tarfile.TarInfo(f"{official.folder}/{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return expected


@pytest.mark.parametrize("source", ["cifar10", "cifar100"])
def test_images_and_labels_of_an_archive_come_back(source: str, tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar.gz"
    expected = make_archive(source, archive)
    spec = DatasetSpec(source, hash_large_file(archive), 0.2, 0)
    prepare(spec, archive, tmp_path / "cifar.h5")
    with open_images(tmp_path / "cifar.h5", None) as opened:
        assert opened.classes == list(OFFICIAL[source].classes)
        assert opened.splits == ["train", "test"]
        for split, (images, labels) in expected.items():
            assert np.array_equal(np.asarray(opened.read(split, 0, 999)), images)
            assert opened.labels(split).tolist() == labels


def test_a_further_test_set_is_the_test_split(tmp_path: Path) -> None:
    archive = tmp_path / "archive.tar.gz"
    images, labels = make_archive("cifar10", archive)["test"]
    spec = DatasetSpec("cifar10", hash_large_file(archive), 1.0, 0)
    prepare(spec, archive, tmp_path / "cifar.h5")
    with open_images(tmp_path / "cifar.h5", None) as opened:
        assert opened.classes == list(OFFICIAL["cifar10"].classes)
        assert opened.splits == ["test"]
        assert np.array_equal(np.asarray(opened.read("test", 0, 999)), images)
        assert opened.labels("test").tolist() == labels


def test_the_archive_in_the_data_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    archive = tmp_path / "data/cifar-10-python.tar.gz"
    archive.parent.mkdir()
    make_archive("cifar10", archive)
    spec = DatasetSpec("cifar10", hash_large_file(archive), 0.2, 0, (("train", 20),))
    prepare(spec, None, tmp_path / "cifar.h5")
    with open_images(tmp_path / "cifar.h5", None) as opened:
        assert opened.labels("train").shape == (20,)
    with pytest.raises(UserError, match="corrupt or another archive"):
        prepare(DatasetSpec("cifar10", OFFICIAL["cifar10"].sha256, 0.2, 0), None, tmp_path / "b.h5")


def test_the_identity_is_the_hash_that_keras_checks(tmp_path: Path) -> None:
    import importlib.util

    keras = importlib.util.find_spec("keras")
    assert keras and keras.origin
    for source in ("cifar10", "cifar100"):
        loader = Path(keras.origin).parent / f"src/datasets/{source}.py"
        text = loader.read_text()
        identity = identify(source, None, tmp_path / "memo.json")
        assert f'"{identity}"' in text
        assert OFFICIAL[source].url in text
        assert f'"{OFFICIAL[source].kept_as.removesuffix("_archive")}"' in text


def test_another_archive_is_refused_before_any_job(tmp_path: Path) -> None:
    archive = tmp_path / "cifar-10-python.tar.gz"
    with pytest.raises(UserError, match="no such file"):
        identify("cifar10", archive, tmp_path / "memo.json")
    make_archive("cifar10", archive)
    with pytest.raises(UserError, match="corrupt or another archive"):
        identify("cifar10", archive, tmp_path / "memo.json")
    with pytest.raises(UserError, match="corrupt or another archive"):
        cifar.load("cifar10", archive, OFFICIAL["cifar10"].sha256)


def test_archives_are_found_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    assert archive_at_hand("cifar10", None) is None
    kept = tmp_path / "keras/datasets/cifar-10-batches-py-target_archive"
    own = tmp_path / "data/cifar-10-python.tar.gz"
    named = tmp_path / "somewhere.tar.gz"
    for path in (kept, own, named):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        found = archive_at_hand("cifar10", named)
        assert found and found.resolve() == path
    assert archive_at_hand("cifar100", None) is None


def test_without_network_and_archive_the_message_says_where_to_put_it(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from features.datasets import *; "
        "from features.errors import UserError\n"
        "spec = DatasetSpec('cifar10', identify('cifar10', None, Path('memo.json')), 0.2, 0)\n"
        "try: prepare(spec, None, Path('cifar.h5'))\n"
        "except UserError as error: print(error)"
    )
    environment = os.environ | {
        "KERAS_HOME": str(tmp_path / "keras"),
        "https_proxy": "http://127.0.0.1:9",  # nobody answers there
        "PYTHONPATH": str(Path(cifar.__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    assert "cifar-10-python.tar.gz cannot be had from https://www.cs.toronto.edu" in done.stdout
    assert "put it at data/cifar-10-python.tar.gz" in done.stdout


def test_a_batch_can_name_nothing_but_arrays(tmp_path: Path) -> None:
    archive = tmp_path / "evil.tar.gz"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return exec, (f"open({str(tmp_path / 'sprung')!r}, 'w')",)

    data = pickle.dumps({b"data": Trap(), b"fine_labels": []}, protocol=2)
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("cifar-100-python/train")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    with pytest.raises(pickle.UnpicklingError, match="exec"):
        cifar.load("cifar100", archive, hash_large_file(archive))
    assert not (tmp_path / "sprung").exists()


def test_the_class_names_are_all_there() -> None:
    assert len(OFFICIAL["cifar10"].classes) == 10
    assert len(set(OFFICIAL["cifar100"].classes)) == 100

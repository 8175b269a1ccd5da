"""`headstart cache`: what is there, whether it is whole, how two differ, and what may go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from filelock import FileLock

from features.cache import write_features
from features.files import fingerprint
from pipeline.cli import main
from pipeline.plan import plan_study

STUDY = "dataset: {source: digits}\nbackbones: {Embedded: {}}\nheads: {logistic: {}}\n"


def write(spec: dict[str, Any], path: Path) -> Path:
    values = np.arange(120).reshape(40, 3)
    write_features(
        path,
        splits={
            "train": (np.arange(40) % 2, list(map(str, range(40))), {("identity", "a"): values})
        },
        classes=["x", "y"],
        views=["identity"],
        spec=spec,
        record={"engine": "openvino", "seconds": {"total": 2.0}},
    )
    return path


@pytest.fixture
def used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A features file that a study asks for."""
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    Path("studies/mine.yaml").write_text(STUDY)
    (plan,) = plan_study(Path("studies/mine.yaml")).features
    return write(plan.spec, plan.file)


@pytest.fixture
def unused(used: Path) -> Path:
    """Another of the same data set, that none does."""
    with h5py.File(used) as file:
        spec = json.loads(file.attrs["spec"])
    spec["backbone"]["interpolation"] = "nearest"
    return write(spec, used.with_name(f"Embedded_32x32-{fingerprint(spec)[:8]}.h5"))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    return out + err


def test_list_tells_size_age_and_what_it_is_made_of(
    used: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = used.with_name("Embedded_64x64-01234567.h5.part")
    part.write_bytes(b"begun")
    assert main(["cache", "list"]) == 0
    text = said(capsys)
    for expected in (
        str(used),
        "Embedded 1 at 32x32",
        "bilinear stretch",
        "fast, float16",
        "views identity",
        " MB",
        "features",
        "unfinished",
        str(part),
        "in 2 entries",
    ):
        assert expected in text


def test_verify_names_what_is_damaged(used: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "verify"]) == 0
    assert "1 whole, 0 damaged" in said(capsys)
    with h5py.File(used, "r+") as file:
        file["train/identity/a"][35] = 9
    assert main(["cache", "verify", str(used)]) == 1
    assert "/train/identity/a: 1 of 2 blocks: 1" in said(capsys)


def test_compare_names_the_fields_that_differ(
    used: Path, unused: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "compare", str(used), str(unused)]) == 1
    text = said(capsys)
    assert "backbone · interpolation  bilinear  |  nearest" in text
    assert "architecture" not in text, "equal fields are left out"
    assert main(["cache", "compare", str(used), str(used)]) == 0


def test_unused_are_removed_after_asking(
    used: Path, unused: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["cache", "remove", "--unused"]) == 1
    assert unused.exists()
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert main(["cache", "remove", "--unused"]) == 0
    assert str(unused) in said(capsys)
    assert used.exists()
    assert not list(used.parent.glob(f"*{unused.stem}*"))
    assert main(["cache", "remove", "--unused"]) == 0
    assert "nothing to remove" in said(capsys)


def test_what_a_fine_tuning_left_of_its_frozen_part_is_used(used: Path, unused: Path) -> None:
    with h5py.File(used) as file:
        spec = json.loads(file.attrs["spec"])
    spec["backbone"] |= {"views": ["identity"], "spatial": ["stage2_block1_out"]}
    boundary = write(spec, used.with_name(f"Embedded_32x32-{fingerprint(spec)[:8]}.h5"))
    Path("studies/mine.yaml").write_text(STUDY + "fine_tune: {tuned: {backbone: Embedded}}\n")
    assert main(["cache", "remove", "--unused", "--yes"]) == 0
    assert boundary.exists()
    assert not unused.exists()
    Path("studies/mine.yaml").write_text(STUDY)
    assert main(["cache", "remove", "--unused", "--yes"]) == 0
    assert not boundary.exists()
    assert used.exists()


def test_a_named_file_is_removed_even_if_it_is_used(used: Path) -> None:
    assert main(["cache", "remove", "--yes", str(used)]) == 0
    assert not used.exists()


def test_what_a_job_is_writing_is_left_alone(
    used: Path, unused: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileLock(unused.with_name(f".{unused.name}.lock")):
        assert main(["cache", "remove", "--yes", "--unused"]) == 1
    assert unused.exists()
    assert "left alone" in said(capsys)


def test_a_study_that_cannot_be_read_protects_everything(
    used: Path, unused: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("studies/broken.yaml").write_text("heads: 1")
    assert main(["cache", "remove", "--yes", "--unused"]) == 1
    assert unused.exists()
    assert "broken.yaml" in said(capsys)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["list"], "no such folder"),
        (["verify", "none.h5"], "no such"),
        (["remove", "none.h5"], "no such folder"),
        (["compare", "a.h5", "b.h5"], "a.h5: no such features file"),
    ],
)
def test_mistakes_are_answered_in_a_line(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cache", *arguments]) == 1
    assert expected in said(capsys)


def test_names_that_are_not_in_the_cache_are_not_removed(
    used: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("precious.h5").write_text("")
    assert main(["cache", "remove", "--yes", "precious.h5"]) == 1
    assert Path("precious.h5").exists()
    assert "not in cache" in said(capsys)

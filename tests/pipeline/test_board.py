"""What a call of Snakemake ends in, and studies side by side."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from classifiers.compare import COLUMNS
from features.errors import UserError
from pipeline.board import TOP, read_board, show_results
from pipeline.cli import main

IMAGES = 200
Runs = Sequence[tuple[str, float, float]]
LONG = "mobilenet_of_a_long_name.logistic_regression_on_all_of_its_layers.0"


def make_results(
    folder: Path, runs: Runs, dataset: str | None = "d" * 64, images: int = IMAGES
) -> Path:
    """A study's results: of each run its name, validation and test accuracy."""
    folder.mkdir(parents=True)
    ordered = sorted(runs, key=lambda run: -run[1])
    with (folder / "leaderboard.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for rank, (name, validation, test) in enumerate(ordered, start=1):
            backbone, head, seed = name.rsplit(".", 2)
            row = {"rank": rank, "backbone": backbone, "head": head, "seed": seed}
            row |= {"validation_accuracy": validation, "test_accuracy": test}
            row |= {"test_low": test - 0.03, "test_high": test + 0.03}
            # The pass is not known, as where its record has gone.
            table.writerow(row | {"pass_seconds": "", "search_seconds": 2.0, "fit_seconds": 1.5})
    for name, _, test in ordered:
        run = folder / "runs" / name
        run.mkdir(parents=True)
        (run / "metrics.json").write_text("{}")
        (run / "fit.json").write_text(json.dumps({"dataset": dataset} if dataset else {}))
        labels = np.arange(images) % 2
        right = np.arange(images) < round(test * images)
        np.savez(
            run / "predictions.npz",
            ids=np.arange(images).astype(str),
            labels=labels,
            predicted=np.where(right, labels, 1 - labels),
        )
    return folder


def plan(folder: Path, written: float) -> SimpleNamespace:
    report = folder / "report.html"
    report.write_text("")
    os.utime(report, (written, written))
    return SimpleNamespace(name=folder.name, report=report)


def test_a_run_ends_in_its_best_heads_in_eighty_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [(f"net.head{place:02}.0", 0.9 - place / 100, 0.8) for place in range(TOP + 3)]
    made = make_results(tmp_path / "mine", [*runs, (LONG, 0.95, 0.9)])
    show_results([plan(made, written=1000.0)], since=999.0)
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line.rstrip() for line in err.splitlines()]
    assert max(map(len, lines[:-1])) <= 80
    assert lines[1] == "mine, by validation accuracy"
    assert lines[3].split()[0] == "1"
    assert "95.0\u00a0%" in lines[3]
    assert "[87.0,\u00a093.0]" in lines[3]
    assert lines[3].endswith("3.5\u00a0s")
    assert "net.head08.0" in err
    assert "net.head09.0" not in err
    assert lines[-1] == f"4 more, and more of each: {made / 'report.html'}"


def test_where_nothing_was_built_nothing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_results(tmp_path / "mine", [("net.a.0", 0.9, 0.8)])
    none = SimpleNamespace(name="none", report=tmp_path / "none" / "report.html")
    show_results([plan(made, written=998.0), none], since=999.0)
    assert capsys.readouterr() == ("", "")


def compared(*folders: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["compare", *map(str, folders)]) == 0
    return capsys.readouterr().out.replace("\u00a0", " ")


def test_the_same_runs_stand_below_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = make_results(tmp_path / "one", [("net.a.0", 0.7, 0.7), ("net.b.0", 0.8, 0.8)])
    two = make_results(tmp_path / "two", [("net.a.0", 0.9, 0.6), (LONG, 0.6, 0.5)])
    said = compared(one, two, capsys=capsys)
    lines = [line.rstrip() for line in said.splitlines()]
    at = lines.index("net.a.0")
    assert [line.split()[:2] for line in lines[at + 1 : at + 3]] == [["one", "2"], ["two", "1"]]
    assert at < lines.index("net.b.0")
    assert lines[lines.index("net.b.0") + 1].split() == [
        *("one", "1", "80.0", "%", "80.0", "%", "[77.0,", "83.0]", "3.5", "s")
    ]
    # 160 and 120 images right, the 120 among the 160: McNemar's exact test of 40 to none.
    assert "The best of one, net.b.0, and of two, net.a.0, can be told apart" in said
    assert "on the same 200 test images: +20.0 points [" in said
    assert "McNemar's exact test p < 0.001." in said
    assert "cannot be compared" not in said


def test_three_studies_are_corrected_for_their_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = {"one": 0.5, "two": 0.53, "three": 0.5}
    folders = [make_results(tmp_path / n, [("net.a.0", 0.7, s)]) for n, s in shares.items()]
    said = compared(*folders, capsys=capsys)
    assert said.count("corrected for the number of pairs") == 3
    # Six images that only one has right: 2 / 2^6 alone, thrice that among three pairs.
    assert "cannot be told apart" in said
    assert "p = 0.094" in said


@pytest.mark.parametrize("change", [{"dataset": "e" * 64}, {"images": 190}, {"dataset": None}])
def test_studies_of_other_images_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object]
) -> None:
    one = make_results(tmp_path / "one", [("net.a.0", 0.7, 0.7)])
    two = make_results(tmp_path / "two", [("net.a.0", 0.7, 0.7)], **change)  # type: ignore[arg-type]
    said = compared(one, two, capsys=capsys)
    # Without the fingerprint, as results of an earlier version, the images themselves decide.
    apart = change != {"dataset": None}
    assert ("one and two were judged on different images" in said) == apart
    assert ("McNemar" in said) != apart


def test_studies_of_one_name_are_told_by_their_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = (make_results(Path(n) / "mine", [("net.a.0", 0.7, 0.7)]) for n in "xy")
    said = compared(one, two, capsys=capsys)
    assert "  x/mine" in said
    assert "  y/mine" in said


def test_what_is_missing_is_told_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = make_results(tmp_path / "whole", [("net.a.0", 0.7, 0.7)])
    half = make_results(tmp_path / "half", [("net.a.0", 0.7, 0.7)])
    run = half / "runs" / "net.a.0"

    def refused(*folders: Path) -> str:
        assert main(["compare", *map(str, folders)]) == 1
        return capsys.readouterr().err

    assert "compare wants two folders" in refused(whole)
    assert "the same study is named twice" in refused(whole, whole)
    gone = refused(whole, tmp_path / "gone")
    assert f"{tmp_path / 'gone'}: no such folder of results" in gone
    assert "`snakemake --cores 4 gone`" in gone
    (run / "predictions.npz").write_bytes(b"PK")
    assert f"{run / 'predictions.npz'}: missing or damaged" in refused(half, whole)
    (run / "metrics.json").unlink()
    message = refused(half, whole)
    assert f"{run / 'metrics.json'} is missing" in message
    assert "`snakemake --cores 4 half`" in message
    (half / "leaderboard.csv").write_text("rank,backbone\n1,net\n")
    assert "no leaderboard of this version" in refused(half, whole)
    (half / "leaderboard.csv").unlink()
    assert "leaderboard.csv is missing: the study is not finished" in refused(half, whole)


def test_an_empty_leaderboard_is_told(tmp_path: Path) -> None:
    made = make_results(tmp_path / "mine", [])
    with pytest.raises(UserError, match="names no run"):
        read_board(made)


def test_comparing_loads_no_heavy_library() -> None:
    code = "import sys, pipeline.cli, pipeline.compared, pipeline.board; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"tensorflow", "keras", "sklearn", "altair"} & set(result.stdout.split())

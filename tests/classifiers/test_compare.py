"""The leaderboard."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.compare import COLUMNS, best, leaderboard
from classifiers.evaluate import evaluate_head
from classifiers.fit import fit_head
from classifiers.spec import Choice, HeadSpec

RUN: dict[str, Any] = {
    "layers": "last",
    "view": "mean",
    "root": False,
    "pca": None,
    "whiten": False,
    "settings": {"C": 0.1},
    "test": {
        "accuracy": 0.5,
        "low": 0.4,
        "high": 0.6,
        "top5_accuracy": None,
        "macro_f1": 0.5,
        "log_loss": None,
        "calibration_error": None,
    },
    "head_bytes": 10,
}


def write(
    folder: Path, name: str, validation: float, test: float, fit: float = 1.0, dimensions: int = 8
) -> Path:
    backbone, head, seed = name.split(".")
    fields = RUN | {
        "run": name,
        "backbone": backbone,
        "head": head,
        "seed": int(seed),
        "dimensions": dimensions,
        "validation": {"accuracy": validation, "images": 100},
        "test": RUN["test"] | {"accuracy": test},
        "seconds": {"pass": 9.0, "search": 2.0, "fit": fit, "predict": 0.1},
    }
    path = folder / name / "metrics.json"
    path.parent.mkdir()
    path.write_text(json.dumps(fields))
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_validation_ranks_though_test_says_otherwise(tmp_path: Path) -> None:
    runs = [
        write(tmp_path, "net.knn.0", validation=0.7, test=0.9),
        write(tmp_path, "net.svm.0", validation=0.8, test=0.6),
        write(tmp_path, "net.ridge.0", validation=0.6, test=0.7),
    ]
    leaderboard(runs, tmp_path / "leaderboard.csv")
    table = rows(tmp_path / "leaderboard.csv")
    assert [(row["rank"], row["head"]) for row in table] == [
        ("1", "svm"),
        ("2", "knn"),
        ("3", "ridge"),
    ]
    assert best(runs)["run"] == "net.svm.0"


def test_equal_runs_rank_by_features_and_name_and_never_by_what_a_clock_said(
    tmp_path: Path,
) -> None:
    runs = [
        write(tmp_path, "net.b.0", 0.7, 0.7, fit=1.0, dimensions=9),
        write(tmp_path, "net.c.0", 0.7, 0.7, fit=3.0, dimensions=2),
        write(tmp_path, "net.a.0", 0.7, 0.7, fit=2.0, dimensions=9),
    ]
    leaderboard(runs, tmp_path / "leaderboard.csv")
    assert [row["head"] for row in rows(tmp_path / "leaderboard.csv")] == ["c", "a", "b"]


def test_a_real_run_fills_every_column(features_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "net.my-ridge.0"
    head = HeadSpec("ridge", {"alpha": [10.0, 1.0]}, Choice(("late", "early"), "mirror"))
    fit_head(features_path, head, folder, validation=0.2, seed=0)
    evaluate_head(features_path, folder)
    leaderboard([folder / "metrics.json"], tmp_path / "leaderboard.csv")
    (row,) = rows(tmp_path / "leaderboard.csv")
    assert tuple(row) == COLUMNS
    assert row["backbone"] == "net"
    assert row["head"] == "my-ridge"
    assert (row["layers"], row["view"]) == ("late early", "mirror")
    assert json.loads(row["settings"]) == {"alpha": 10.0}
    assert float(row["test_low"]) < float(row["test_accuracy"]) <= float(row["test_high"]) == 1
    assert float(row["pass_seconds"]) == 2
    assert float(row["macro_f1_low"]) <= float(row["macro_f1"]) <= float(row["macro_f1_high"])
    assert (row["seeds"], row["test_mean"]) == ("1", row["test_accuracy"])
    # There are three classes; a ridge head gives probabilities only by its temperature; one seed.
    empty = ("top5", "log_loss", "calibration", "test_mean_", "pca")
    for name, cell in row.items():
        assert (cell == "") == (name.startswith(empty) or name.endswith("deviation")), name
    assert np.isfinite([float(row[name]) for name in row if name.endswith("seconds")]).all()


def test_the_seeds_of_a_head_are_summarised_in_the_row_of_each(tmp_path: Path) -> None:
    runs = [
        write(tmp_path, "net.dense.0", validation=0.70, test=0.60),
        write(tmp_path, "net.dense.1", validation=0.72, test=0.70),
        write(tmp_path, "net.knn.0", validation=0.71, test=0.65),
    ]
    leaderboard(runs, tmp_path / "leaderboard.csv")
    for row in rows(tmp_path / "leaderboard.csv"):
        if row["head"] == "dense":
            assert row["seeds"] == "2"
            assert abs(float(row["validation_mean"]) - 0.71) < 1e-9
            assert abs(float(row["test_mean"]) - 0.65) < 1e-9
            assert abs(float(row["test_deviation"]) - 0.0707) < 1e-4
            assert float(row["test_mean_low"]) < 0.6 < 0.7 < float(row["test_mean_high"])
        else:
            assert (row["seeds"], row["test_deviation"]) == ("1", "")

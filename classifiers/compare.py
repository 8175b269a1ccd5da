"""Heads side by side."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classifiers.seeds import over_seeds
from classifiers.store import read_json
from features.files import whole_file

FIGURES = ("top5_accuracy", "macro_f1", "log_loss", "calibration_error")
"""Of the test split, beside the accuracy; each with `..._low` and `..._high`."""

CALIBRATED = ("log_loss", "calibration_error")
"""What the temperature changes."""


def _with_ends(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


COLUMNS = (
    "rank",
    "backbone",
    "head",
    "seed",
    "layers",
    "view",
    "root",
    "pca",
    "whiten",
    "validation_accuracy",
    "test_accuracy",
    "test_low",
    "test_high",
    *(column for name in FIGURES for column in _with_ends(name)),
    "temperature",
    *(f"calibrated_{column}" for name in CALIBRATED for column in _with_ends(name)),
    "seeds",
    "validation_mean",
    "validation_deviation",
    "test_mean",
    "test_deviation",
    *("test_mean_low", "test_mean_high"),
    "pass_seconds",
    "search_seconds",
    "fit_seconds",
    "predict_seconds",
    "head_bytes",
    "settings",
)


def leaderboard(metrics: Sequence[Path], output: Path) -> None:
    """Writes one row a run, ranked by accuracy on validation.

    Ranking on test would choose the winner on the images that are to judge it. The test accuracy
    stands beside, with its 95 % interval, as does every other figure. `calibrated_...` is what a
    temperature fitted on validation makes of it. `test_mean` and what follows is of all
    seeds of a head together, and the same in the row of each (`classifiers.seeds`). Equal runs rank
    by how few features they see, then by name, so that a study ranks the same whenever it is run.

    Args:
        metrics: The runs' metrics.json files.
        output: The CSV file.
    """
    with whole_file(output) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        runs = ranked(metrics)
        together = {(one["backbone"], one["head"]): one for one in over_seeds(runs)}
        for rank, run in enumerate(runs, start=1):
            seeds = together[run["backbone"], run["head"]]
            table.writerow({"rank": rank, **_row(run), **_over_seeds(seeds)})


def ranked(metrics: Sequence[Path]) -> list[dict[str, Any]]:
    """The runs' metrics, the most accurate on validation first."""
    runs = [read_json(path) for path in metrics]
    return sorted(
        runs,
        key=lambda run: (-run["validation"]["accuracy"], run["dimensions"], run["run"]),
    )


def best(metrics: Sequence[Path]) -> dict[str, Any]:
    """The metrics of the run that is the most accurate on validation."""
    return ranked(metrics)[0]


def _row(run: dict[str, Any]) -> dict[str, Any]:
    """A run's cells; None stays empty."""
    layers = run["layers"]
    test, calibration = run["test"], run.get("calibration") or {}
    return {
        "backbone": run["backbone"],
        "head": run["head"],
        "seed": run["seed"],
        "layers": layers if isinstance(layers, str) else " ".join(layers or ()),
        **{name: run[name] for name in ("view", "root", "pca", "whiten")},
        "validation_accuracy": run["validation"]["accuracy"],
        "test_accuracy": test["accuracy"],
        "test_low": test["low"],
        "test_high": test["high"],
        **{column: test.get(column) for name in FIGURES for column in _with_ends(name)},
        "temperature": calibration.get("temperature"),
        **{
            f"calibrated_{column}": calibration.get(column)
            for name in CALIBRATED
            for column in _with_ends(name)
        },
        **{f"{stage}_seconds": seconds for stage, seconds in run["seconds"].items()},
        "head_bytes": run["head_bytes"],
        "settings": json.dumps(run["settings"]),
    }


def _over_seeds(summary: dict[str, Any]) -> dict[str, Any]:
    """A head's cells that are the same for all its seeds."""
    return {
        "seeds": len(summary["seeds"]),
        "validation_mean": summary["validation"]["mean"],
        "validation_deviation": summary["validation"]["deviation"],
        "test_mean": summary["test"]["mean"],
        "test_deviation": summary["test"]["deviation"],
        "test_mean_low": summary["test"]["low"],
        "test_mean_high": summary["test"]["high"],
    }

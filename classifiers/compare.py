"""Heads side by side."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classifiers.store import read_json
from features.files import whole_file

COLUMNS = (
    "rank",
    "backbone",
    "head",
    "seed",
    "layers",
    "view",
    "validation_accuracy",
    "test_accuracy",
    "test_low",
    "test_high",
    "top5_accuracy",
    "macro_f1",
    "log_loss",
    "calibration_error",
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
    stands beside, with its 95 % interval. Equal runs rank by how few features they
    see, then by name, so that a study ranks the same whenever it is run.

    Args:
        metrics: The runs' metrics.json files.
        output: The CSV file.
    """
    with whole_file(output) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for rank, run in enumerate(ranked(metrics), start=1):
            table.writerow({"rank": rank, **_row(run)})


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
    test = run["test"]
    return {
        "backbone": run["backbone"],
        "head": run["head"],
        "seed": run["seed"],
        "layers": layers if isinstance(layers, str) else " ".join(layers),
        "view": run["view"],
        "validation_accuracy": run["validation"]["accuracy"],
        "test_accuracy": test["accuracy"],
        "test_low": test["low"],
        "test_high": test["high"],
        **{
            name: test[name]
            for name in ("top5_accuracy", "macro_f1", "log_loss", "calibration_error")
        },
        **{f"{stage}_seconds": seconds for stage, seconds in run["seconds"].items()},
        "head_bytes": run["head_bytes"],
        "settings": json.dumps(run["settings"]),
    }

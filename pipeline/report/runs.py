"""The runs and features that a report is made from, as it needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import features
from classifiers.compare import ranked
from classifiers.finetune.settings import DEFAULTS
from classifiers.heads import DEFAULTS as HEADS
from classifiers.store import read_json
from pipeline.report.difference import Difference, paired, unpaired

Run = dict[str, Any]
"""A run's metrics.json, with `rank`, `total_seconds` (pass, search and fit), `directory`, `kind`
(one of `KINDS`), `told` (the settings that tell it from others) and, where it is a training,
`tuning`, its fit.json, else None."""

KINDS = ("from nothing", "frozen", "further")
"""A network that was trained from nothing, a head on frozen features, and a backbone that was
trained further."""

TOLD = ("epochs", "learning_rate")
"""Settings that are told even where they are the defaults."""

FEW = 4
"""So many settings are all told."""

PARTS = ("pass", "search", "fit")
"""What a run's seconds are made of; predicting is counted apart. Those of a pass whose record is
gone are not known, and count for nothing."""

ORDER = ("train", "validation", "test")


def read_runs(metrics: Sequence[Path]) -> list[Run]:
    """Reads the runs in the order of the leaderboard, best on validation first.

    Args:
        metrics: The metrics.json of each run, in a directory of the run's name.
    """
    directories = {path.parent.name: path.parent for path in metrics}
    runs = ranked(metrics)
    for rank, run in enumerate(runs, start=1):
        run["rank"] = rank
        run["total_seconds"] = sum(run["seconds"][part] or 0 for part in PARTS)
        run["directory"] = directories[run["run"]]
        tuning = read_json(run["directory"] / "fit.json") if run["type"] == "fine_tune" else None
        run["tuning"] = tuning
        run["kind"] = _kind(tuning)
        run["told"] = _told(run["settings"], DEFAULTS if tuning else HEADS.get(run["type"], {}))
    return runs


def _kind(tuning: Mapping[str, Any] | None) -> str:
    if tuning is None:
        return "frozen"
    return "from nothing" if tuning["network"] else "further"


def _told(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A dense head or a training has up to twenty settings, most of them as everybody has them.

    What is unfrozen is said in words beside.
    """
    if len(settings) <= FEW:
        return dict(settings)
    return {
        name: value
        for name, value in settings.items()
        if name != "unfreeze" and (name in TOLD or value != defaults.get(name))
    }


def second_best(runs: Sequence[Run]) -> Run | None:
    """The best run of another backbone or head than the best run's, which another seed is not."""
    best = runs[0]
    others = (
        run for run in runs if (run["backbone"], run["head"]) != (best["backbone"], best["head"])
    )
    return next(others, None)


def best_of(runs: Sequence[Run], kind: str) -> Run | None:
    """The best run of one of `KINDS`, if there is one."""
    return next((run for run in runs if run["kind"] == kind), None)


def difference(first: Run, second: Run) -> Difference:
    """The test accuracy of one run less that of another, image by image where both kept theirs."""
    right = [_right(run["directory"] / "predictions.npz") for run in (first, second)]
    if right[0] is None or right[1] is None or len(right[0]) != len(right[1]):
        return unpaired(first["test"], second["test"])
    return paired(right[0], right[1])


def _right(predictions: Path) -> np.ndarray | None:
    """Where a run is right on the test split, bool (images,)."""
    if not predictions.is_file():
        return None
    with np.load(predictions, allow_pickle=False) as kept:
        right: np.ndarray = kept["predicted"] == kept["labels"]
    return right


def read_features(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """What each features file says of itself; the features stay unread.

    Args:
        paths: The files, named "<backbone>-<first digits of the fingerprint>.h5".
    """
    described = []
    for path in paths:
        with features.open(path) as file:
            splits = sorted(file.splits, key=ORDER.index)
            described.append(
                {
                    "backbone": path.stem.rpartition("-")[0],
                    "file": path.stem,
                    "bytes": file.bytes(),
                    "fingerprint": file.fingerprint,
                    "classes": file.classes,
                    "layers": file.layers,
                    "views": file.views,
                    "images": {split: len(file.labels(split)) for split in splits},
                    "spec": file.spec,
                    "record": file.record,
                }
            )
    return described


def confusions(run: Run, limit: int) -> list[dict[str, Any]]:
    """The pairs of classes that a run confuses most, most first.

    Args:
        run: The run.
        limit: How many pairs at most.

    Returns:
        For each pair the true and the predicted class, the images, and their share of the true
        class.
    """
    counts = np.array(run["confusion"])
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    rows, columns = np.unravel_index(order, wrong.shape)
    return [
        {
            "true": run["classes"][row],
            "predicted": run["classes"][column],
            "images": int(wrong[row, column]),
            "share": float(wrong[row, column] / counts[row].sum()),
        }
        for row, column in zip(rows, columns, strict=True)
        if wrong[row, column]
    ]


def shares(confusion: Sequence[Sequence[int]]) -> list[list[float | None]]:
    """The rows of a confusion matrix as shares of their sums; none where a class has no image."""
    return [[count / total if (total := sum(row)) else None for count in row] for row in confusion]


def common(tables: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """Lays tables of fields side by side.

    Returns:
        For each field its name and its values, one a table, or a single one where all are equal.
    """
    names = list(dict.fromkeys(name for table in tables for name in table))
    rows = []
    for name in names:
        values = [table.get(name, "") for table in tables]
        rows.append((name, values[:1] if len(set(values)) == 1 else values))
    return rows

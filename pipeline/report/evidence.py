"""What a study found out beside its leaderboard, as the page's sections need it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.intervals import wilson
from classifiers.seeds import over_seeds
from classifiers.store import read_json
from pipeline.report import words
from pipeline.report.curves import learning_chart, looks, reliability_chart
from pipeline.report.pairs import SHOWN, pairs_matrix
from pipeline.report.pictures import thumbnails
from pipeline.report.runs import Run
from pipeline.tuning import Published

PICTURED = 48
"""So many suspects are shown, the likeliest."""

PAIRS = 20
"""So many duplicates are listed."""


@dataclass(frozen=True)
class Evidence:
    """What a report is made of beside its runs, where it is there; each has its section.

    Attributes:
        comparison: What `classifiers.significance.compare_runs` wrote.
        further: The metrics of each run on each further test set.
        curves: What `classifiers.budget.learning_curve` or `evaluate_curve` wrote, one a run.
        duplicates: What `classifiers.duplicates.find_duplicates` wrote.
        suspects: What `classifiers.suspects.find_suspects` wrote.
        failures: What `pipeline.report.mistakes.write_failures` wrote.
        map: What `pipeline.report.featuremap.write_map` wrote.
        promise: What `classifiers.promise.write_promise` wrote.
        published: What others reported, as the study has it.
        dataset: The dataset file, for pictures of the suspects.
        source: The folder that the images come from, where they are files in a folder.
    """

    comparison: Path | None = None
    curves: Sequence[Path] = ()
    further: Sequence[Path] = ()
    duplicates: Path | None = None
    suspects: Path | None = None
    failures: Path | None = None
    map: Path | None = None
    promise: Path | None = None
    published: Published | None = None
    dataset: Path | None = None
    source: Path | None = None


def comparison_section(path: Path | None, first: Run, second: Run | None) -> dict[str, Any]:
    """Who can be told apart: the words, the picture, and each head against the best.

    Args:
        path: The comparison, if there is one.
        first: The best run.
        second: The second, which the page sets against it.
    """
    if path is None:
        return {"comparison": None, "corrected_away": False}
    found = read_json(path)
    best = found["heads"][0]["name"]
    against = {pair["second"]: pair for pair in found["pairs"] if pair["first"] == best}
    two = {f"{run['backbone']}.{run['head']}" for run in (first, second) if run}
    return {
        "corrected_away": any(
            {pair["first"], pair["second"]} == two and pair["p_holm"] >= found["level"]
            for pair in found["pairs"]
        ),
        "comparison": {
            **found,
            "against": [
                {**head, "rank": rank, "pair": against.get(head["name"])}
                for rank, head in enumerate(found["heads"], start=1)
            ],
            "matrix": pairs_matrix(found) if found["pairs"] else None,
            "shown": min(SHOWN, len(found["heads"])),
        },
    }


def seeds_section(runs: Sequence[Run]) -> dict[str, Any]:
    """The heads over their seeds, where any has several."""
    together = over_seeds(runs)
    several = any(len(one["seeds"]) > 1 for one in together)
    ordered = sorted(together, key=lambda one: -one["validation"]["mean"])
    return {"over_seeds": ordered if several else []}


def calibration_section(runs: Sequence[Run]) -> dict[str, Any]:
    """What the probabilities are worth, and the reliability curve of the best run that has one."""
    shown = [run for run in runs if run["reliability"] or run["calibration"]]
    if not shown:
        return {"calibrated": [], "reliable": None}
    first = shown[0]
    curves = {}
    if first["reliability"]:
        curves["as the head gives them"] = first["reliability"]
    if first["calibration"]:
        at = words.temperature(first["calibration"]["temperature"])
        curves[f"at temperature {at}"] = first["calibration"]["reliability"]
    return {
        "calibrated": shown,
        "reliable": {
            "run": first,
            "chart": reliability_chart(curves),
            "looks": looks(list(curves)),
            "tables": curves,
        },
    }


def curves_section(paths: Sequence[Path]) -> dict[str, Any]:
    """What more labels would bring."""
    if not paths:
        return {"learning": None}
    curves = [read_json(path) for path in paths]
    points = [point for curve in curves for point in _points(curve)]
    names = [curve["run"] for curve in curves]
    failed = [
        (curve["run"], row["budget"], row["warnings"])
        for curve in curves
        for row in curve["rows"]
        if row["accuracy"] is None
    ]
    return {
        "learning": {
            "split": curves[0]["split"],
            "held": curves[0]["held"],
            "points": points,
            "chart": learning_chart(points, names) if points else None,
            "looks": looks(names),
            "failed": failed,
        }
    }


def _points(curve: dict[str, Any]) -> list[dict[str, Any]]:
    """One point a number of labels: the mean over its draws, and Wilson's interval of that."""
    budgets: dict[int, list[dict[str, Any]]] = {}
    for row in curve["rows"]:
        if row["accuracy"] is not None:
            budgets.setdefault(row["images"], []).append(row)
    points = []
    for images, rows in sorted(budgets.items()):
        # Two budgets of one size are the same fits.
        each = list({row["seed"]: row["accuracy"] for row in rows}.values())
        mean = float(np.mean(each))
        low, high = wilson(mean * curve["held"], curve["held"])
        points.append(
            {
                "run": curve["run"],
                "images": images,
                "budget": " = ".join(dict.fromkeys(row["budget"] for row in rows)),
                "each": each,
                "accuracy": mean,
                "low": low,
                "high": high,
                "deviation": float(np.std(each, ddof=1)) if len(each) > 1 else None,
            }
        )
    return points


def further_section(paths: Sequence[Path], runs: Sequence[Run]) -> dict[str, Any]:
    """The same heads on other test sets: how each fares there, and what it loses."""
    if not paths:
        return {"further": None}
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        measured = read_json(path)
        found.setdefault(measured["split"], {})[measured["run"]] = measured["test"]
    return {
        "further": {
            "sets": {name: next(iter(each.values()))["images"] for name, each in found.items()},
            "rows": [
                {
                    "run": run,
                    "tests": {name: each[run["run"]] for name, each in found.items()},
                }
                for run in runs
            ],
        }
    }


def data_section(evidence: Evidence) -> dict[str, Any]:
    """What may be wrong with the data."""
    suspects: list[dict[str, Any]] = []
    if evidence.suspects is not None:
        with evidence.suspects.open(newline="", encoding="utf-8") as file:
            suspects = list(csv.DictReader(file))
    pictures: dict[str, str] = {}
    if evidence.dataset is not None and suspects:
        names = [suspect["image"] for suspect in suspects[:PICTURED]]
        pictures = thumbnails(evidence.dataset, evidence.source, names)
    return {
        "duplicates": read_json(evidence.duplicates) if evidence.duplicates else None,
        "listed_pairs": PAIRS,
        "suspects": suspects if evidence.suspects is not None else None,
        "pictured": PICTURED,
        "pictures": pictures,
    }

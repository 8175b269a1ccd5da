"""What others reported, beside what this study measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.runs import Run
from pipeline.tuning import Published


def published_section(
    published: Published | None, runs: Sequence[Run], features: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A row for each run of a head or training that has a published accuracy.

    Args:
        published: What the study says of it.
        runs: All runs, by rank.
        features: What `read_features` gives of each features file.
    """
    if published is None or not (published.accuracy or published.remarks):
        return {"published": None}
    weights = {file["file"]: file["spec"]["backbone"].get("weights") for file in features}
    rows = [
        _row(run, accuracy, weights)
        for name, accuracy in published.accuracy.items()
        for run in runs
        if run["head"] == name
    ]
    return {
        "published": {
            "source": published.source,
            "remarks": published.remarks,
            "rows": rows,
            "random": any(row["random"] for row in rows),
        }
    }


def _row(run: Run, accuracy: float, weights: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run": run,
        "accuracy": accuracy,
        # As many as were reported, up to two.
        "digits": 1 if round(accuracy, 3) == accuracy else 2,
        "difference": run["test"]["accuracy"] - accuracy,
        "within": run["test"]["low"] <= accuracy <= run["test"]["high"],
        "random": _random(run, weights),
    }


def _random(run: Run, weights: Mapping[str, Any]) -> bool:
    """Whether it stands on a backbone that was never trained, by which no accuracy can be judged.

    Args:
        run: The run.
        weights: Of each features file the weights that it was made with.
    """
    if run["kind"] == "from nothing":
        return False
    if run["tuning"]:
        return bool(run["tuning"]["spec"]["backbone"]["weights"] == "random")
    return any(weights.get(file) == "random" for file in run["passes"])

"""What each stage of a study took, over all its passes and heads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.report.runs import Run

PASS = {
    "start": "loading and compiling the networks",
    "read": "waiting for images",
    "compute": "running the networks",
    "write": "writing features",
}
"""The stages of a pass, as its record names them, in words."""


def stages_section(
    described: Sequence[Mapping[str, Any]],
    runs: Sequence[Run],
    boundaries: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Seconds, images a second and memory, stage by stage.

    Args:
        described: What `read_features` gives of each features file.
        runs: All runs.
        boundaries: What trainings kept of frozen layers.
    """
    records = [file["record"] for file in described]
    # A vote fits and predicts nothing itself.
    heads = [run for run in runs if not run["tuning"] and run["type"] != "vote"]
    trainings = [run for run in runs if run["tuning"]]
    groups = [
        _group("Passes", _pass_rows(records), (one.get("peak_memory_bytes") for one in records))
    ]
    if boundaries:
        seconds = sum(boundary["seconds"] for boundary in boundaries)
        groups.append(_group("Boundaries", [_row("all of it", "computing frozen layers", seconds)]))
    groups.append(_group("Heads", _head_rows(heads), map(_peak, heads)))
    if trainings:
        # Their search is that of the head that they start from, which is counted above.
        fitted = sum(run["seconds"]["fit"] for run in trainings)
        rows = [_row("fit", "all epochs", fitted)]
        groups.append(_group("Trainings", rows, map(_peak, trainings)))
    groups.append(_group("Evaluation", [_predict([*heads, *trainings])]))
    total = sum(row["seconds"] or 0 for group in groups for row in group["rows"])
    for group in groups:
        for row in group["rows"]:
            row["share"] = None if row["seconds"] is None else row["seconds"] / (total or 1)
    return {
        "stages": groups,
        "stages_seconds": total,
        "features_bytes": sum(file["bytes"] for file in described),
        "heads_bytes": sum(run["head_bytes"] for run in (*heads, *trainings)),
        "remembered": any(map(_peak, runs)),
        "passes_remembered": any(record.get("peak_memory_bytes") for record in records),
    }


def _pass_rows(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the passes took; nothing is known where a record is gone."""
    whole = all("seconds" in record for record in records)
    images = sum(record.get("computed", 0) for record in records)
    rows = []
    for stage, words in PASS.items():
        seconds = sum(record["seconds"][stage] for record in records) if whole else None
        # Neither loading nor waiting goes image by image.
        counted = images if stage in ("compute", "write") else 0
        rows.append(_row(stage, words, seconds, counted))
    return rows


def _head_rows(heads: Sequence[Run]) -> list[dict[str, Any]]:
    search, fit = (sum(run["seconds"][stage] for run in heads) for stage in ("search", "fit"))
    return [
        _row("search", "fitting every candidate, judged on validation", search),
        _row("fit", "fitting the chosen ones again", fit),
    ]


def _predict(runs: Sequence[Run]) -> dict[str, Any]:
    seconds = sum(run["seconds"]["predict"] for run in runs)
    images = sum(run["test"]["images"] for run in runs)
    return _row("predict", "the test split, by each run", seconds, images)


def _row(stage: str, words: str, seconds: float | None, images: int = 0) -> dict[str, Any]:
    return {"stage": stage, "words": words, "seconds": seconds, "images": images}


def _group(
    name: str, rows: list[dict[str, Any]], peaks: Iterable[int | None] = ()
) -> dict[str, Any]:
    """Some stages that run in one process, and the most memory that such a process took."""
    return {"name": name, "rows": rows, "peak": max(filter(None, peaks), default=None)}


def _peak(run: Run) -> int | None:
    """The most memory that the search and fit of a run took, where that was written down."""
    peak: int | None = run.get("peak_memory_bytes")
    return peak

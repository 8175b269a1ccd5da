"""What training a backbone further brought, or a network from nothing: the page's section on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from classifiers.store import read_json
from pipeline.report import words
from pipeline.report.curves import looks
from pipeline.report.epochs import CURVES, epochs_chart
from pipeline.report.runs import Run, best_of, common, difference


def tuning_section(runs: Sequence[Run], promise: Path | None) -> dict[str, Any]:
    """How each training went, and what it gained.

    Args:
        runs: All runs, by rank.
        promise: What was said before of the backbones, if anything was.
    """
    tuned = [run for run in runs if run["tuning"]]
    if not tuned:
        return {"tuning": None}
    by_name = {run["run"]: run for run in runs}
    frozen = best_of(runs, "frozen")
    further = any(run["kind"] == "further" for run in tuned)
    return {
        "tuning": {
            "further": further,
            # Of a network that is trained from nothing it says nothing.
            "promise": _promise(promise, runs) if promise and further else None,
            "frozen": frozen,
            "looks": looks(CURVES),
            "runs": [_training(run, by_name.get(run["tuning"]["start"]), frozen) for run in tuned],
        }
    }


def _training(run: Run, start: Run | None, frozen: Run | None) -> dict[str, Any]:
    """One training.

    Args:
        run: Its run.
        start: The run whose head it started from.
        frozen: The best run on frozen features.
    """
    tuning = run["tuning"]
    epochs = tuning["epochs"]
    return {
        "run": run,
        "start": start,
        "over_start": difference(run, start) if start else None,
        "over_frozen": difference(run, frozen) if frozen else None,
        "began": tuning["began"],
        "epochs": epochs,
        "kept": tuning["best_epoch"],
        "status": tuning["status"],
        "boundary": tuning["boundary"],
        "boundary_seconds": next(iter(tuning["boundary"]["pass"].values()), None),
        # The first has the compiling in it.
        "epoch_seconds": median(epoch["seconds"] for epoch in epochs) if epochs else None,
        "charts": {
            figure: epochs_chart(figure, run["run"], tuning) for figure in ("loss", "accuracy")
        }
        if epochs
        else {},
    }


def _promise(path: Path, runs: Sequence[Run]) -> dict[str, Any]:
    """The hint, with the study's names of the backbones in place of their files'."""
    names = _names(runs)
    found = read_json(path)
    hint: str = found["hint"]
    for file, name in names.items():
        hint = hint.replace(file, name)
    return {
        "hint": hint,
        "backbones": [
            {**one, "name": names.get(one["features"], one["features"])}
            for one in found["backbones"]
        ],
    }


def _names(runs: Sequence[Run]) -> Mapping[str, str]:
    """The study's name of the backbone of each features file."""
    return {
        file: run["backbone"]
        for run in runs
        if run["kind"] == "frozen" and len(run["passes"]) == 1
        for file in run["passes"]
    }


def boundaries_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What trainings kept of what is frozen, each file once, with the trainings that share it.

    Where that is the features file of heads, it is theirs.
    """
    paid = {file for run in runs if not run["tuning"] for file in run["passes"]}
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        kept = run["tuning"]["boundary"]["pass"] if run["tuning"] else {}
        for file, seconds in kept.items():
            if file not in paid:
                one = found.setdefault(file, {"file": file, "seconds": seconds or 0, "heads": []})
                one["heads"] = list(dict.fromkeys([*one["heads"], run["head"]]))
    return list(found.values())


def settings_section(runs: Sequence[Run]) -> dict[str, Any]:
    """Every setting of each training; another seed has the same."""
    found: dict[str, dict[str, str]] = {}
    for run in runs:
        if tuning := run["tuning"]:
            start, network = tuning["start"], tuning["network"]
            # What a fresh top sees and is: of a head that it starts from the head says it.
            top = () if start is None else ("layers", "stack")
            name = run["head"] if network else f"{run['head']} on {run['backbone']}"
            found[name] = {
                "network": words.layers(network) if network else run["backbone"],
                "size": words.value(tuning["spec"]["backbone"]["size"]),
                "top": f"the head {start.rsplit('.', 2)[1]}" if start else "fresh",
                **{
                    setting: words.NONE if setting in top else words.value(content)
                    for setting, content in tuning["settings"].items()
                },
            }
    return {"trainings": list(found), "training_rows": common(list(found.values()))}

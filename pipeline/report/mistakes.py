"""The images that the best run gets wrong, to be looked at.

This is a step of its own behind the leaderboard. It opens the test split only to show images of it:
the run was chosen by validation before, and nothing is chosen by what stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.calibration import logits, tempered
from classifiers.compare import best
from classifiers.significance import read_predictions
from classifiers.store import read_json, write_json
from pipeline.report.pictures import thumbnails
from pipeline.report.runs import Run, confusions

PAIRS = 8
"""So many pairs of classes are shown, the most confused."""

OF_EACH = 6
"""So many images of each, the surest."""

SUREST = 24
"""So many images are shown that the run is surest about and wrong."""


def write_failures(
    metrics: Sequence[Path], dataset: Path, source: Path | None, output: Path
) -> None:
    """Writes which test images the best run on validation gets wrong, with small pictures.

    It opens the test split to show images of it, after everything is chosen and evaluated, and
    decides nothing. The JSON file holds the `run`, its `images` and how many are `wrong`; `pairs`,
    the most confused classes, each with `true`, `predicted`, `images`, `share` and some images
    under `shown`; and `surest`. An image has `image` (its name), `true`, `predicted`, `confidence`
    (the probability of what was predicted, at the temperature that was fitted on validation), and
    `picture`, the address of a thumbnail or nothing where the images have gone.

    Args:
        metrics: The metrics.json of each run, with its predictions.npz beside it.
        dataset: The dataset file.
        source: The folder that the images come from, where they are files in a folder.
        output: The JSON file.

    Raises:
        UserError: A file is missing or damaged.
    """
    run = best(metrics)
    folder = next(path.parent for path in metrics if path.parent.name == run["run"])
    ids, labels, predicted, scores = read_predictions(
        folder / "predictions.npz", ("ids", "labels", "predicted", "scores")
    )
    temperature = (run.get("calibration") or {}).get("temperature", 1.0)
    known = read_json(folder / "fit.json")["probabilities"]
    sure = tempered(logits(scores, probabilities=known), temperature)
    sure = sure[np.arange(len(labels)), predicted]
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    of_pair = _by_pair(run, labels, predicted, wrong)
    surest = wrong[:SUREST].tolist()
    shown = list(dict.fromkeys([*(row for _, rows in of_pair for row in rows), *surest]))
    pictures = thumbnails(dataset, source, [str(ids[row]) for row in shown], ("test",))

    def told(row: int) -> dict[str, Any]:
        name = str(ids[row])
        return {
            "image": name,
            "true": run["classes"][labels[row]],
            "predicted": run["classes"][predicted[row]],
            "confidence": round(float(sure[row]), 4),
            "picture": pictures.get(name),
        }

    write_json(
        output,
        {
            "run": run["run"],
            "images": len(labels),
            "wrong": len(wrong),
            "pairs": [{**pair, "shown": [told(row) for row in rows]} for pair, rows in of_pair],
            "surest": [told(row) for row in surest],
        },
    )


def _by_pair(
    run: Run, labels: np.ndarray, predicted: np.ndarray, wrong: np.ndarray
) -> list[tuple[dict[str, Any], list[int]]]:
    """The most confused pairs of classes, each with some of its images.

    Args:
        run: The run.
        labels: int64 (images,).
        predicted: int64 (images,).
        wrong: int64 (errors,): the rows that are wrong, the surest first.
    """
    places = {name: place for place, name in enumerate(run["classes"])}
    found = []
    for pair in confusions(run, PAIRS):
        true, taken_for = places[pair["true"]], places[pair["predicted"]]
        of_it = (labels[wrong] == true) & (predicted[wrong] == taken_for)
        found.append((pair, wrong[of_it][:OF_EACH].tolist()))
    return found


def mistakes_section(path: Path | None) -> dict[str, Any]:
    """The images that the best run gets wrong, where they were looked for."""
    return {"mistakes": read_json(path) if path else None}

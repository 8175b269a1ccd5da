"""Evaluating a fitted head, once, on a test split. Nothing that chooses anything opens it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

import features as feature_files
from classifiers.calibration import fit_temperature, logits, read_validation, tempered
from classifiers.data import matrix
from classifiers.heads import class_scores
from classifiers.metrics import measure, measure_probabilities
from classifiers.store import load_head, read_json, write_json
from features.errors import UserError
from features.files import whole_file


def evaluate_head(
    features: Path, directory: Path, *, split: str = "test", estimator: str | None = None
) -> None:
    """Predicts a test split and writes `metrics.json` and `predictions.npz`.

    The arrays of `predictions.npz`: `ids` (text), `labels` and `predicted` (int64), and `scores`
    (float32, images x classes: probabilities, or decision values of a head that has none).

    Where the run's folder holds `validation.npz`, a temperature is fitted on that, and
    `metrics.json` says under `calibration` what it is and what it changes: log loss, calibration
    error and reliability of the probabilities at that temperature. The scores that are written stay
    as the head gives them, and no prediction changes.

    Args:
        features: The features file that the head was fitted on.
        directory: The run's directory, named `<backbone>.<head>.<seed>`, holding the fitted head.
        split: What to evaluate on. Of another than "test" the files are `metrics.<split>.json` and
            `predictions.<split>.npz`.
        estimator: Where the study imports the user's own estimator from, if it is one.

    Raises:
        UserError: The head was fitted on other features, or a file is missing or damaged.
    """
    fitted = read_json(directory / "fit.json")
    path = directory / fitted["head"]
    head = load_head(path, estimator=estimator)
    with feature_files.open(features) as file:
        if file.fingerprint != fitted["fingerprint"]:
            raise UserError(
                f"{path}: fitted on features {fitted['fingerprint'][:8]}, but {features} holds "
                f"{file.fingerprint[:8]}; delete the head and run again"
            )
        layers = fitted["layers"]
        layers = layers if isinstance(layers, str) else tuple(layers)
        values = matrix(file, split, layers, fitted["view"])
        labels, ids, classes = file.labels(split), file.ids(split), file.classes
        pass_seconds = file.record.get("seconds", {}).get("total")
    if len(labels) == 0:
        raise UserError(f"{features}: the {split} split holds no image")

    start = time.perf_counter()
    scores = class_scores(head, values, len(classes))
    predict_seconds = time.perf_counter() - start
    backbone, name, _ = directory.name.rsplit(".", 2)
    probabilities = hasattr(head, "predict_proba")
    measured = measure(labels, scores, classes, probabilities=probabilities)
    suffix = "" if split == "test" else f".{split}"
    with whole_file(directory / f"predictions{suffix}.npz") as part, part.open("wb") as target:
        np.savez(
            target,
            ids=np.array(ids, dtype=np.str_),
            labels=labels,
            predicted=scores.argmax(axis=1),
            scores=scores,
        )
    kept = ("type", "seed", "layers", "view", "dimensions", "settings")
    write_json(
        directory / f"metrics{suffix}.json",
        {
            "run": directory.name,
            "backbone": backbone,
            "head": name,
            **{key: fitted[key] for key in kept},
            "classes": classes,
            "validation": fitted["validation"],
            "split": split,
            **measured,
            "calibration": _calibration(directory, labels, scores, probabilities),
            "seconds": {"pass": pass_seconds, **fitted["seconds"], "predict": predict_seconds},
            "head_bytes": path.stat().st_size,
            "warnings": fitted["warnings"],
        },
    )


def _calibration(
    directory: Path, labels: np.ndarray, scores: np.ndarray, probabilities: bool
) -> dict[str, Any] | None:
    """What a temperature fitted on validation makes of the scores; None without that file."""
    held = read_validation(directory)
    if held is None:
        return None
    known, before = held
    try:
        temperature = fit_temperature(logits(before, probabilities=probabilities), known)
    except ValueError as error:
        raise UserError(f"{directory}: {error}") from error
    return {
        "temperature": temperature,
        "validation_images": len(known),
        **measure_probabilities(
            labels, tempered(logits(scores, probabilities=probabilities), temperature)
        ),
    }

"""Evaluating a fitted head, once, on a test split. Nothing that chooses anything opens it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.calibration import logits, read_validated, tempered
from classifiers.data import Features
from classifiers.heads import class_scores
from classifiers.metrics import measure, measure_probabilities
from classifiers.spec import Choice
from classifiers.store import load_run, read_json, write_json
from features.errors import UserError
from features.files import whole_file


def evaluate_head(
    features: Path | Sequence[Path],
    directory: Path,
    *,
    further: str | None = None,
    estimator: str | None = None,
) -> None:
    """Predicts a test split and writes `metrics.json` and `predictions.npz`.

    The arrays of `predictions.npz`: `ids` (text), `labels` and `predicted` (int64), and `scores`
    (float32, images x classes: probabilities, or decision values of a head that has none).

    Where the run's folder holds `validation.npz`, a temperature is fitted on that, and
    `metrics.json` says under `calibration` what it is and what it changes: log loss, calibration
    error and reliability of the probabilities at that temperature. The scores that are written stay
    as the head gives them, and no prediction changes.

    Args:
        features: The features that the head was fitted on, or those of a further test set by the
            same backbones.
        directory: The run's directory, named `<backbone>.<head>.<seed>`, holding the fitted head.
        further: The name of the further test set. The files are then `metrics.<further>.json` and
            `predictions.<further>.npz`. Its classes are some of those that the head knows.
        estimator: Where the study imports the user's own estimator from, if it is one.

    Raises:
        UserError: The head was fitted on other features, or a file is missing or damaged.
    """
    fitted = read_json(directory / "fit.json")
    choice = Choice.of(fitted)
    head, size = load_run(directory, fitted, estimator=estimator)
    classes: list[str] = fitted["classes"]
    with Features(features) as opened:
        _check(opened, fitted, directory, further)
        labels, ids = opened.labels("test"), opened.ids("test")
        if len(labels) == 0:
            raise UserError(f"{opened.path}: the test split holds no image")
        labels = by_name(labels, opened.classes, classes, f"{opened.path}: the head")
        seconds, scores = 0.0, np.empty((len(labels), len(classes)), np.float32)
        at = 0
        for values in opened.blocks("test", choice):
            start = time.perf_counter()
            scores[at : at + len(values)] = class_scores(head, values, len(classes))
            seconds += time.perf_counter() - start
            at += len(values)
        passes = opened.seconds
    write_evaluation(
        directory,
        fitted,
        Predictions(ids, labels, scores, hasattr(head, "predict_proba")),
        further=further,
        passes=passes,
        predict_seconds=seconds,
        head_bytes=size,
    )


def _check(opened: Features, fitted: dict[str, Any], directory: Path, further: str | None) -> None:
    """Refuses features that the head does not know."""
    name = "made_by" if further else "fingerprint"
    found = getattr(opened, name)
    if found != fitted[name]:
        raise UserError(
            f"{directory / fitted['head']}: fitted on features {fitted[name][:8]}, but "
            f"{opened.path} holds {found[:8]}; delete the head and run again"
        )


def by_name(
    labels: np.ndarray, names: Sequence[str], classes: Sequence[str], who: str
) -> np.ndarray:
    """Labels as a run has them, where a further test set numbers its classes otherwise.

    Args:
        labels: int64 (images,), indices into `names`.
        names: The test set's classes.
        classes: The run's.
        who: The test set's file, and what knows the classes, for the message.

    Raises:
        UserError: The run knows none of a class.
    """
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise UserError(
            f"{who} knows no class {', '.join(map(repr, unknown))}; a further test set has classes "
            f"of {', '.join(classes)}"
        )
    places = np.array([classes.index(name) for name in names], dtype=np.int64)
    found: np.ndarray = places[labels]
    return found


@dataclass(frozen=True)
class Predictions:
    """What a head says of a test split.

    Attributes:
        ids: The images' names.
        labels: int64 (images,).
        scores: float32 (images, classes).
        probabilities: Whether they are probabilities, or else decision values.
    """

    ids: Sequence[str]
    labels: np.ndarray
    scores: np.ndarray
    probabilities: bool


def write_evaluation(
    directory: Path,
    fitted: dict[str, Any],
    said: Predictions,
    *,
    further: str | None,
    passes: dict[str, float | None],
    predict_seconds: float,
    head_bytes: int,
) -> None:
    """Measures predictions and writes both files of an evaluation; see `evaluate_head`.

    Args:
        directory: The run's directory.
        fitted: Its fit.json.
        said: The predictions.
        further: The name of a further test set.
        passes: The seconds of each pass that the run needs, by the features file's name.
        predict_seconds: What predicting took.
        head_bytes: What the head takes on disk.
    """
    backbone, name, _ = directory.name.rsplit(".", 2)
    classes = fitted["classes"]
    measured = measure(said.labels, said.scores, classes, probabilities=said.probabilities)
    suffix = f".{further}" if further else ""
    with whole_file(directory / f"predictions{suffix}.npz") as part, part.open("wb") as target:
        np.savez(
            target,
            ids=np.array(said.ids, dtype=np.str_),
            labels=said.labels,
            predicted=said.scores.argmax(axis=1),
            scores=said.scores,
        )
    whole = None if None in passes.values() else sum(s for s in passes.values() if s)
    kept = ("type", "seed", "layers", "view", "root", "pca", "whiten", "dimensions", "settings")
    write_json(
        directory / f"metrics{suffix}.json",
        {
            "run": directory.name,
            "backbone": backbone,
            "head": name,
            **{key: fitted[key] for key in kept},
            "classes": classes,
            "validation": fitted["validation"],
            "split": further or "test",
            **measured,
            "calibration": _calibration(directory, said.labels, said.scores, said.probabilities),
            "seconds": {"pass": whole, **fitted["seconds"], "predict": predict_seconds},
            "passes": passes,
            "head_bytes": head_bytes,
            "peak_memory_bytes": fitted.get("peak_memory_bytes"),
            "warnings": fitted["warnings"],
        },
    )


def _calibration(
    directory: Path, labels: np.ndarray, scores: np.ndarray, probabilities: bool
) -> dict[str, Any] | None:
    """What a temperature fitted on validation makes of the scores; None without that file."""
    held = read_validated(directory, probabilities=probabilities)
    if held is None:
        return None
    wide = logits(scores, probabilities=probabilities)
    return {
        "temperature": held.temperature,
        "validation_images": len(held.labels),
        **measure_probabilities(labels, tempered(wide, held.temperature)),
    }

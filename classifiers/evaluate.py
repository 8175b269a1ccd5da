"""Evaluating a fitted head, once, on the test split. Nothing else opens that split."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import features as feature_files
from classifiers.data import matrix
from classifiers.metrics import measure
from classifiers.store import load_head, read_json, write_json
from features.errors import UserError
from features.files import whole_file

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


def evaluate_head(features: Path, directory: Path) -> None:
    """Predicts the test split and writes `metrics.json` and `predictions.npz`.

    The arrays of `predictions.npz`: `ids` (text), `labels` and `predicted` (int64), and `scores`
    (float32, images x classes: probabilities, or decision values of a head that has none).

    Args:
        features: The features file that the head was fitted on.
        directory: The run's directory, named `<backbone>.<head>.<seed>`, holding the fitted head.

    Raises:
        UserError: The head was fitted on other features, or a file is missing or damaged.
    """
    fitted = read_json(directory / "fit.json")
    path = directory / fitted["head"]
    head = load_head(path)
    with feature_files.open(features) as file:
        if file.fingerprint != fitted["fingerprint"]:
            raise UserError(
                f"{path}: fitted on features {fitted['fingerprint'][:8]}, but {features} holds "
                f"{file.fingerprint[:8]}; delete the head and run again"
            )
        layers = fitted["layers"]
        layers = layers if isinstance(layers, str) else tuple(layers)
        values = matrix(file, "test", layers, fitted["view"])
        labels, ids, classes = file.labels("test"), file.ids("test"), file.classes
        pass_seconds = file.record.get("seconds", {}).get("total")
    if len(labels) == 0:
        raise UserError(f"{features}: the test split holds no image")

    start = time.perf_counter()
    scores = class_scores(head, values, len(classes))
    predict_seconds = time.perf_counter() - start
    backbone, name, _ = directory.name.rsplit(".", 2)
    measured = measure(labels, scores, classes, probabilities=hasattr(head, "predict_proba"))
    with whole_file(directory / "predictions.npz") as part, part.open("wb") as target:
        np.savez(
            target,
            ids=np.array(ids, dtype=np.str_),
            labels=labels,
            predicted=scores.argmax(axis=1),
            scores=scores,
        )
    kept = ("type", "seed", "layers", "view", "dimensions", "settings")
    write_json(
        directory / "metrics.json",
        {
            "run": directory.name,
            "backbone": backbone,
            "head": name,
            **{key: fitted[key] for key in kept},
            "classes": classes,
            "validation": fitted["validation"],
            **measured,
            "seconds": {"pass": pass_seconds, **fitted["seconds"], "predict": predict_seconds},
            "head_bytes": path.stat().st_size,
            "warnings": fitted["warnings"],
        },
    )


def class_scores(head: BaseEstimator, values: np.ndarray, classes: int) -> np.ndarray:
    """A head's score for every class; the highest is its prediction.

    Args:
        head: A fitted estimator with `predict_proba` or `decision_function`.
        values: float32 (images, dimensions).
        classes: How many classes there are. One that the head never saw scores 0 as a probability,
            minus infinity as a decision value.

    Returns:
        float32 (images, classes).
    """
    if hasattr(head, "predict_proba"):
        seen, missing = head.predict_proba(values), 0.0
    else:
        seen, missing = head.decision_function(values), -np.inf
        if seen.ndim == 1:  # two classes: one value, positive for the second
            seen = np.column_stack([-seen, seen])
    scores = np.full((len(values), classes), missing, dtype=np.float32)
    scores[:, head.classes_] = seen
    return scores

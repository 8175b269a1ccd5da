"""How good predictions are, every figure with its 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from classifiers.calibration import (
    BINS,
    calibration_error,
    confidence_bins,
    error_by_chance,
    reliability,
)
from classifiers.intervals import bootstrap, f1_interval, percentile, pivotal, wilson

BOOTSTRAPPED = ("macro_f1", "log_loss", "calibration_error")
"""The figures that are no share of the images, whose intervals come from resampling."""


def top_accuracy(labels: np.ndarray, scores: np.ndarray, places: int) -> float:
    """The share of images whose true class is among the `places` highest scores.

    Equal scores rank by class, as in `argmax`.

    Args:
        labels: int64 (images,).
        scores: float32 (images, classes).
        places: How many of the highest scores count.
    """
    highest = np.argsort(-scores, axis=1, kind="stable")[:, :places]
    return float((highest == labels[:, None]).any(axis=1).mean())


def log_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The log loss of each image, float64 (images,).

    A probability of 0 or 1 counts as if float32's epsilon off, as in scikit-learn.

    Args:
        labels: int64 (images,).
        probabilities: float32 (images, classes).
    """
    truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    epsilon = np.finfo(np.float32).eps
    losses: np.ndarray = -np.log(np.clip(truth, epsilon, 1 - epsilon))
    return losses


def measure(
    labels: np.ndarray, scores: np.ndarray, classes: Sequence[str], *, probabilities: bool
) -> dict[str, Any]:
    """All figures of one head on one split.

    Args:
        labels: int64 (images,).
        scores: float32 (images, classes); the highest is the prediction.
        classes: The classes' names.
        probabilities: Whether the scores are probabilities. If not, there is neither log loss nor
            calibration error nor reliability curve.

    Returns:
        `test` (the summary), `per_class`, `confusion` and `reliability`, as they stand in
        metrics.json. Beside each figure stand the ends of its 95 % interval: `low` and `high` of
        the accuracy, `..._low` and `..._high` of the others. Of shares of images (accuracy, top-5,
        precision, recall) they are Wilson's, of a class's F1 as in `f1_interval`, of macro F1 and
        log loss the bootstrap's percentiles. Resampling adds noise, which a calibration error takes
        for miscalibration: so its interval is the pivotal one, and begins at 0 where a perfectly
        calibrated head would often show as much.
    """
    predicted = scores.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    hits = np.diag(confusion)
    support, claimed = confusion.sum(axis=1), confusion.sum(axis=0)
    figures: dict[str, float | None] = {
        "macro_f1": _macro_f1(hits, claimed, support),
        "log_loss": float(log_losses(labels, scores).mean()) if probabilities else None,
        "calibration_error": calibration_error(labels, scores) if probabilities else None,
    }
    accuracy = float(hits.sum() / len(labels))
    low, high = wilson(hits.sum(), len(labels))
    top5 = top_accuracy(labels, scores, 5) if len(classes) > 5 else None
    top5_ends = None if top5 is None else wilson(top5 * len(labels), len(labels))
    return {
        "test": {
            "images": len(labels),
            "accuracy": accuracy,
            "low": low,
            "high": high,
            **_with_ends("top5_accuracy", top5, top5_ends),
            **{
                key: value
                for name, ends in _resampled(labels, scores, support, probabilities).items()
                for key, value in _with_ends(name, figures[name], ends).items()
            },
        },
        "per_class": [
            {
                "class": name,
                **_share("precision", int(hits[index]), int(claimed[index])),
                **_share("recall", int(hits[index]), int(support[index])),
                **_f1(int(hits[index]), int(claimed[index]), int(support[index])),
                "support": int(support[index]),
            }
            for index, name in enumerate(classes)
        ],
        "confusion": confusion.tolist(),
        "reliability": reliability(labels, scores) if probabilities else None,
    }


def measure_probabilities(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """What probabilities say beyond the class they predict: log loss and calibration.

    Args:
        labels: int64 (images,).
        probabilities: float32 (images, classes).

    Returns:
        `log_loss` and `calibration_error` with their intervals, as in `measure`, and `reliability`.
    """
    figures = {
        "log_loss": float(log_losses(labels, probabilities).mean()),
        "calibration_error": calibration_error(labels, probabilities),
    }
    support = np.bincount(labels, minlength=probabilities.shape[1])
    ends = _resampled(labels, probabilities, support, True)
    return {
        **{
            key: value
            for name, figure in figures.items()
            for key, value in _with_ends(name, figure, ends[name]).items()
        },
        "reliability": reliability(labels, probabilities),
    }


def _resampled(
    labels: np.ndarray, scores: np.ndarray, support: np.ndarray, probabilities: bool
) -> dict[str, tuple[float, float] | None]:
    """The ends of the intervals of what is resampled; None where there are no probabilities."""
    predicted = scores.argmax(axis=1)
    right = predicted == labels
    # A class's index where it is hit, and one beyond all of them elsewhere.
    hit = np.where(right, labels, len(support))
    if probabilities:
        losses = log_losses(labels, scores)
        confidence = scores.max(axis=1).astype(np.float64)
        bins, gaps = confidence_bins(confidence), right - confidence

    def figures(rows: np.ndarray) -> tuple[float, ...]:
        claimed = np.bincount(predicted[rows], minlength=len(support))
        hits = np.bincount(hit[rows], minlength=len(support) + 1)[:-1]
        f1 = _macro_f1(hits, claimed, support)
        if not probabilities:
            return (f1,)
        binned = np.bincount(bins[rows], weights=gaps[rows], minlength=BINS)
        return f1, float(losses[rows].mean()), float(np.abs(binned).sum() / len(rows))

    columns = bootstrap(labels, figures).T
    ends: dict[str, tuple[float, float] | None] = dict.fromkeys(BOOTSTRAPPED)
    ends["macro_f1"] = percentile(columns[0])
    if probabilities:
        ends["log_loss"] = percentile(columns[1])
        error = calibration_error(labels, scores)
        low, high = pivotal(columns[2], error)
        ends["calibration_error"] = (0.0 if error <= error_by_chance(confidence) else low, high)
    return ends


def _macro_f1(hits: np.ndarray, claimed: np.ndarray, support: np.ndarray) -> float:
    """The mean F1 over all classes; 0 of one that is neither there nor predicted."""
    return float((2 * hits / np.maximum(claimed + support, 1)).mean())


def _with_ends(
    name: str, figure: float | None, ends: tuple[float, float] | None
) -> dict[str, float | None]:
    low, high = ends or (None, None)
    return {name: figure, f"{name}_low": low, f"{name}_high": high}


def _share(name: str, hits: int, images: int) -> dict[str, float | None]:
    """A share of images with Wilson's interval; 0 of none, of which nothing is known."""
    return _with_ends(name, hits / images if images else 0.0, wilson(hits, images))


def _f1(hits: int, claimed: int, support: int) -> dict[str, float | None]:
    both = claimed + support
    return _with_ends("f1", 2 * hits / both if both else 0.0, f1_interval(hits, both - 2 * hits))

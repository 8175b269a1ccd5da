"""Whether probabilities mean what they say, and the one number that mends most of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from classifiers.intervals import RESAMPLES, SEED, wilson
from features.errors import UserError
from features.files import whole_file

BINS = 15
VALIDATION = "validation.npz"
"""In a run's folder: the validation rows' `ids`, `labels` and `scores`, as in predictions.npz, by
the chosen settings fitted on the training rows alone."""

LIMITS = 1e-3, 1e3
"""The temperatures that are looked at. Where every validation image is right by far, none is the
best, and the lowest is taken."""

ABSENT = -1e30
"""Stands for minus infinity, the score of a class never seen, which no product survives."""


def confidence_bins(confidence: np.ndarray) -> np.ndarray:
    """The bin of each confidence, int64: 15 of equal width, closed on the right."""
    bins: np.ndarray = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return bins


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The expected calibration error of the predicted class, over 15 bins of equal width.

    Guo, C. et al. (2017): On calibration of modern neural networks. ICML 2017, equation 3: the
    distance between accuracy and mean confidence in each bin, weighted by the bin's images.

    Args:
        labels: int64 (images,).
        probabilities: float32 (images, classes).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    gaps = np.bincount(confidence_bins(confidence), weights=right - confidence)
    return float(np.abs(gaps).sum() / len(labels))


def error_by_chance(confidence: np.ndarray) -> float:
    """The calibration error that a perfectly calibrated head stays below in 97.5 % of test splits.

    Broecker, J. and Smith, L. A. (2007): Increasing the reliability of reliability diagrams.
    Weather and Forecasting 22, section 3: whether an image is right is drawn by its confidence.

    Args:
        confidence: float64 (images,).
    """
    bins = confidence_bins(confidence)
    generator = np.random.default_rng(SEED)
    drawn = [
        np.abs(np.bincount(bins, weights=(generator.random(len(bins)) < confidence) - confidence))
        for _ in range(RESAMPLES)
    ]
    return float(np.quantile(np.sum(drawn, axis=1), 0.975) / len(bins))


def reliability(labels: np.ndarray, probabilities: np.ndarray) -> list[dict[str, Any]]:
    """The reliability curve: accuracy against confidence, bin by bin, as in `calibration_error`.

    Args:
        labels: int64 (images,).
        probabilities: float32 (images, classes).

    Returns:
        Of each bin that holds an image: `images`, the mean `confidence`, and the `accuracy` with
        its Wilson interval, `low` to `high`.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bins = confidence_bins(confidence)
    curve = []
    for place in np.unique(bins):
        inside = bins == place
        images, correct = int(inside.sum()), int(right[inside].sum())
        low, high = wilson(correct, images)
        curve.append(
            {
                "images": images,
                "confidence": float(confidence[inside].mean()),
                "accuracy": correct / images,
                "low": low,
                "high": high,
            }
        )
    return curve


def logits(scores: np.ndarray, *, probabilities: bool) -> np.ndarray:
    """What a temperature divides: logarithms of probabilities, decision values as they are.

    Args:
        scores: float32 (images, classes).
        probabilities: Whether they are probabilities. One of 0 counts as float32's epsilon.

    Returns:
        float64 (images, classes).
    """
    wide = scores.astype(np.float64)
    return np.log(np.maximum(wide, np.finfo(np.float32).eps)) if probabilities else wide


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which the scores' softmax fits the labels best.

    Guo, C. et al. (2017): On calibration of modern neural networks. ICML 2017, section 4.2. The log
    loss is convex in one over the temperature, so its slope has one root, which is bracketed.

    Args:
        scores: (images, classes) logits, logarithms of probabilities, or decision values, of images
            that the head was not fitted on. Minus infinity for a class that it never saw.
        labels: int64 (images,). Those of a class that the head never saw say nothing.

    Returns:
        The temperature, between 0.001 and 1,000: above 1 where the head is too sure of itself. It
        never changes which class is predicted.

    Raises:
        ValueError: No image is left to fit it on, or a score is not a number.
    """
    from scipy.optimize import brentq

    wide = _finite(scores)
    truth = wide[np.arange(len(labels)), labels]
    wide, truth = wide[truth > ABSENT], truth[truth > ABSENT]
    if not len(truth):
        raise ValueError("no image of a class that the head knows: no temperature can be fitted")

    def slope(inverse: float) -> float:
        """The derivative of the mean log loss by one over the temperature."""
        weights = np.exp((wide - wide.max(axis=1, keepdims=True)) * inverse)
        expected = (weights * wide).sum(axis=1) / weights.sum(axis=1)
        return float((expected - truth).mean())

    coldest, hottest = 1 / LIMITS[0], 1 / LIMITS[1]
    if slope(hottest) >= 0:  # no better than chance: the flatter the better
        return LIMITS[1]
    if slope(coldest) <= 0:
        return LIMITS[0]
    # In the logarithm, for the root may lie anywhere within six powers of ten.
    root = brentq(lambda power: slope(np.exp(power)), np.log(hottest), np.log(coldest), xtol=1e-6)
    return float(np.exp(-root))


def tempered(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities from logits at a temperature: softmax(scores / temperature).

    Args:
        scores: (images, classes), as `fit_temperature` takes them.
        temperature: As it gives it.

    Returns:
        float32 (images, classes).
    """
    scaled = (_finite(scores) - scores.max(axis=1, keepdims=True)) / temperature
    weights = np.exp(scaled)
    probabilities: np.ndarray = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def _finite(scores: np.ndarray) -> np.ndarray:
    wide = np.where(np.isneginf(scores), ABSENT, scores.astype(np.float64))
    if not np.isfinite(wide).all():
        raise ValueError("a score is not a number: no temperature can be fitted")
    return wide


def write_validation(
    directory: Path, ids: list[str], labels: np.ndarray, scores: np.ndarray
) -> None:
    """Keeps what the search's best candidate said of the validation rows; see `VALIDATION`.

    Args:
        directory: The run's folder.
        ids: The images' names.
        labels: int64 (images,).
        scores: float32 (images, classes), as `classifiers.heads.class_scores` gives them.
    """
    with whole_file(directory / VALIDATION) as part, part.open("wb") as file:
        np.savez(file, ids=np.array(ids, dtype=np.str_), labels=labels, scores=scores)


def read_validation(directory: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """The labels and scores that `write_validation` kept, or None where a run has none.

    Raises:
        UserError: The file is damaged.
    """
    path = directory / VALIDATION
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            return kept["labels"], kept["scores"]
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f"{path}: damaged; delete it and run again") from error


class Validated(NamedTuple):
    """What a run said of its validation images.

    Attributes:
        labels: int64 (images,).
        logits: float64 (images, classes).
        temperature: That at which they fit the labels best.
    """

    labels: np.ndarray
    logits: np.ndarray
    temperature: float


def read_validated(directory: Path, *, probabilities: bool) -> Validated | None:
    """Reads what `write_validation` kept and fits a temperature to it; None where a run has none.

    Args:
        directory: The run's folder.
        probabilities: Whether its scores are probabilities.

    Raises:
        UserError: The file is damaged, or none of its images tells anything.
    """
    held = read_validation(directory)
    if held is None:
        return None
    labels, scores = held
    wide = logits(scores, probabilities=probabilities)
    try:
        return Validated(labels, wide, fit_temperature(wide, labels))
    except ValueError as error:
        raise UserError(f"{directory}: {error}") from error


def validation_ids(directory: Path) -> list[str]:
    """The images of `read_validation`, by name."""
    with np.load(directory / VALIDATION, allow_pickle=False) as kept:
        ids: list[str] = kept["ids"].tolist()
    return ids

"""How good predictions are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

CALIBRATION_BINS = 15


def wilson(correct: int, images: int) -> tuple[float, float]:
    """The 95 % interval of an accuracy.

    Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference.
    Journal of the American Statistical Association 22, 209-212.

    Args:
        correct: How many predictions are right.
        images: Of how many, at least one.
    """
    from scipy.stats import binomtest

    interval = binomtest(correct, images).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


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


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The expected calibration error of the predicted class, over 15 bins of equal width.

    Guo, C. et al. (2017): On calibration of modern neural networks. ICML 2017, equation 3: the
    distance between accuracy and mean confidence in each bin, weighted by the bin's images. Bins
    are open on the left and closed on the right.

    Args:
        labels: int64 (images,).
        probabilities: float32 (images, classes).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence)
    return float(np.abs(gaps).sum() / len(labels))


def measure(
    labels: np.ndarray, scores: np.ndarray, classes: Sequence[str], *, probabilities: bool
) -> dict[str, Any]:
    """All figures of one head on one split.

    Args:
        labels: int64 (images,).
        scores: float32 (images, classes); the highest is the prediction.
        classes: The classes' names.
        probabilities: Whether the scores are probabilities. If not, there is neither log loss nor
            calibration error. A true class of probability 0 counts with float32's epsilon in the
            log loss, as in scikit-learn.

    Returns:
        `test` (the summary), `per_class` and `confusion`, as they stand in metrics.json.
    """
    from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

    every = np.arange(len(classes))
    predicted = scores.argmax(axis=1)
    correct = int((predicted == labels).sum())
    low, high = wilson(correct, len(labels))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=0
    )
    return {
        "test": {
            "images": len(labels),
            "accuracy": correct / len(labels),
            "low": low,
            "high": high,
            "top5_accuracy": top_accuracy(labels, scores, 5) if len(classes) > 5 else None,
            "macro_f1": float(f1.mean()),
            "log_loss": float(log_loss(labels, scores, labels=every)) if probabilities else None,
            "calibration_error": calibration_error(labels, scores) if probabilities else None,
        },
        "per_class": [
            {
                "class": name,
                "precision": float(precision[index]),
                "recall": float(recall[index]),
                "f1": float(f1[index]),
                "support": int(support[index]),
            }
            for index, name in enumerate(classes)
        ],
        "confusion": confusion_matrix(labels, predicted, labels=every).tolist(),
    }

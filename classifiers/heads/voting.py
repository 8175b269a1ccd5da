"""Soft voting over heads that are fitted already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LOG_TEMPERATURES = (-7.0, 7.0)
"""Natural logarithms of the least and the greatest temperature."""


def logits(scores: np.ndarray, *, probabilities: bool) -> np.ndarray:
    """What softmax turns into probabilities: decision values as they are, probabilities' logarithm.

    Args:
        scores: float32 (images, classes).
        probabilities: Whether the scores are probabilities. One of 0 counts as float32's epsilon.

    Returns:
        float32 (images, classes).
    """
    if not probabilities:
        return scores
    values: np.ndarray = np.log(np.maximum(scores, np.finfo(np.float32).eps))
    return values


def softmax(values: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Logits at a temperature as probabilities, float32 (images, classes).

    A class of logit minus infinity, which a head never saw, has probability 0.
    """
    from scipy.special import softmax as plain

    shares: np.ndarray = plain(values.astype(np.float64) / temperature, axis=1)
    return shares.astype(np.float32)


def fit_temperature(values: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which logits make the labels most likely.

    Guo, C. et al. (2017): On calibration of modern neural networks. ICML 2017, section 4.2. It
    changes no prediction.

    Args:
        values: Logits, float32 (images, classes), of images that the head was not fitted on.
        labels: int64 (images,).
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        likely = softmax(values, float(np.exp(log_temperature)))[rows, labels]
        return -float(np.log(np.maximum(likely, np.finfo(np.float32).tiny)).mean())

    found = minimize_scalar(loss, bounds=LOG_TEMPERATURES, method="bounded")
    return float(np.exp(found.x))


def vote(scores: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of several heads' probabilities, each with the same weight.

    Args:
        scores: Probabilities of each head for the same images and classes, float32 (images,
            classes).

    Returns:
        Probabilities, float32 (images, classes).

    Raises:
        ValueError: There is no head, or they are of different images or classes.
    """
    shapes = {array.shape for array in scores}
    if len(shapes) != 1:
        raise ValueError(f"heads that vote must score the same images and classes, not {shapes}")
    total = np.zeros(shapes.pop(), np.float64)
    for array in scores:
        total += array
    return (total / len(scores)).astype(np.float32)

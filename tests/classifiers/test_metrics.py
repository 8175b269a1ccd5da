"""The figures, against their definitions worked out by hand or by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.metrics import calibration_error, measure, top_accuracy, wilson

Problem = tuple[np.ndarray, np.ndarray]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Labels and probabilities (images, classes)."""
    images, classes = draw(st.integers(1, 40)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    probabilities = rng.dirichlet(np.full(classes, draw(st.sampled_from([0.1, 1.0]))), images)
    return rng.integers(0, classes, images), probabilities.astype(np.float32)


@settings(deadline=None)
@given(st.integers(1, 2000), st.data())
def test_wilson_is_its_formula(images: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, images))
    z, p = 1.959963984540054, correct / images
    middle = (p + z * z / (2 * images)) / (1 + z * z / images)
    half = z / (1 + z * z / images) * math.sqrt(p * (1 - p) / images + (z / (2 * images)) ** 2)
    low, high = wilson(correct, images)
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-9)
    assert 0 <= low <= p <= high <= 1


@settings(deadline=None)
@given(problems(), st.integers(1, 9))
def test_top_accuracy_counts_who_stands_before_the_truth(problem: Problem, places: int) -> None:
    labels, scores = problem
    hits = [
        sum((s > row[label]) or (s == row[label] and k < label) for k, s in enumerate(row)) < places
        for label, row in zip(labels, scores, strict=True)
    ]
    assert top_accuracy(labels, scores, places) == pytest.approx(np.mean(hits))
    assert top_accuracy(labels, scores, 1) == np.mean(scores.argmax(axis=1) == labels)


@settings(deadline=None)
@given(problems())
def test_calibration_error_is_the_sum_over_the_bins(problem: Problem) -> None:
    labels, probabilities = problem
    expected = 0.0
    for index in range(15):
        inside = [
            (float(max(row)), row.argmax() == label)
            for label, row in zip(labels, probabilities, strict=True)
            if index / 15 < max(row) <= (index + 1) / 15
        ]
        if inside:
            confidence, right = map(np.mean, zip(*inside, strict=True))
            expected += len(inside) / len(labels) * abs(right - confidence)
    assert calibration_error(labels, probabilities) == pytest.approx(expected, abs=1e-6)


def test_a_sure_and_right_head_is_calibrated_and_a_sure_and_wrong_one_is_not() -> None:
    sure = np.eye(2, dtype=np.float32)
    assert calibration_error(np.array([0, 1]), sure) == 0
    assert calibration_error(np.array([1, 0]), sure) == 1


@settings(deadline=None)
@given(problems())
def test_measure_agrees_with_counting(problem: Problem) -> None:
    labels, scores = problem
    classes = [f"class {k}" for k in range(scores.shape[1])]
    measured = measure(labels, scores, classes, probabilities=True)
    predicted, test = scores.argmax(axis=1), measured["test"]
    for true, row in enumerate(measured["confusion"]):
        for guess, count in enumerate(row):
            assert count == sum((labels == true) & (predicted == guess))
    for k, figures in enumerate(measured["per_class"]):
        hit = sum((labels == k) & (predicted == k))
        claimed, support = sum(predicted == k), sum(labels == k)
        assert figures["class"] == classes[k]
        assert figures["support"] == support
        assert figures["precision"] == pytest.approx(hit / claimed if claimed else 0)
        assert figures["recall"] == pytest.approx(hit / support if support else 0)
        both = claimed + support
        assert figures["f1"] == pytest.approx(2 * hit / both if both else 0)
    assert test["accuracy"] == np.mean(predicted == labels)
    assert test["macro_f1"] == pytest.approx(np.mean([f["f1"] for f in measured["per_class"]]))
    truth = scores[np.arange(len(labels)), labels].astype(float)
    floor = np.finfo(np.float32).eps
    assert test["log_loss"] == pytest.approx(-np.log(truth.clip(floor, 1 - floor)).mean(), rel=1e-3)
    assert (test["top5_accuracy"] is None) == (len(classes) <= 5)


def test_decision_values_have_neither_log_loss_nor_calibration() -> None:
    scores = np.array([[2.0, -np.inf, -1.0]], dtype=np.float32)
    test = measure(np.array([1]), scores, ["a", "b", "c"], probabilities=False)["test"]
    assert (test["log_loss"], test["calibration_error"]) == (None, None)
    assert test["accuracy"] == 0

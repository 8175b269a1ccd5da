"""The figures, against their definitions worked out by hand or by brute force."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.intervals import wilson
from classifiers.metrics import measure, measure_probabilities, top_accuracy

Problem = tuple[np.ndarray, np.ndarray]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Labels and probabilities (images, classes)."""
    images, classes = draw(st.integers(1, 40)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    probabilities = rng.dirichlet(np.full(classes, draw(st.sampled_from([0.1, 1.0]))), images)
    return rng.integers(0, classes, images), probabilities.astype(np.float32)


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


@settings(deadline=None, max_examples=25)
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
    assert (test["log_loss_low"], test["calibration_error_high"]) == (None, None)


def made(images: int, classes: int, sharpness: float = 1.0, seed: int = 0) -> Problem:
    """Labels drawn by the very probabilities that are given: a head as calibrated as can be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (images, classes))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (honest.cumsum(axis=1) < rng.random((images, 1))).sum(axis=1).clip(0, classes - 1)
    said = np.exp(logits * sharpness)
    return labels, (said / said.sum(axis=1, keepdims=True)).astype(np.float32)


def test_every_figure_lies_within_its_interval() -> None:
    labels, scores = made(500, 8)
    measured = measure(labels, scores, list("abcdefgh"), probabilities=True)
    for row in (measured["test"], *measured["per_class"]):
        figures = [name for name in row if f"{name}_low" in row]
        assert len(figures) >= 3
        for name in figures:
            assert 0 <= row[f"{name}_low"] <= row[name] <= row[f"{name}_high"], name
            assert row[f"{name}_low"] < row[f"{name}_high"]
    test = measured["test"]
    assert (test["low"], test["high"]) == wilson(round(test["accuracy"] * 500), 500)
    top5 = test["top5_accuracy_low"], test["top5_accuracy_high"]
    assert top5 == pytest.approx(wilson(round(test["top5_accuracy"] * 500), 500))


def test_the_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Thirty test splits of one head whose true figures a large split tells."""
    labels, scores = made(130_000, 6, sharpness=1.6)
    truth = measure_probabilities(labels[:100_000], scores[:100_000])
    held = {"log_loss": 0, "calibration_error": 0}
    for start in range(100_000, 130_000, 1000):
        rows = slice(start, start + 1000)
        found = measure_probabilities(labels[rows], scores[rows])
        for name in held:
            held[name] += found[f"{name}_low"] <= truth[name] <= found[f"{name}_high"]
    assert held["log_loss"] >= 26
    assert held["calibration_error"] >= 26


def test_a_calibrated_head_s_error_may_be_none() -> None:
    for seed in range(5):
        labels, scores = made(400, 4, seed=seed)
        found = measure(labels, scores, list("abcd"), probabilities=True)["test"]
        assert found["calibration_error"] > 0
        assert found["calibration_error_low"] == 0
    labels, scores = made(4000, 4, sharpness=3)
    found = measure(labels, scores, list("abcd"), probabilities=True)["test"]
    assert found["calibration_error_low"] > 0.05


def test_more_images_narrow_every_interval() -> None:
    few, many = (
        measure(*made(images, 8), list("abcdefgh"), probabilities=True)["test"]
        for images in (200, 5000)
    )
    for name in ("top5_accuracy", "macro_f1", "log_loss", "calibration_error"):
        widths = [test[f"{name}_high"] - test[f"{name}_low"] for test in (few, many)]
        assert widths[1] < 0.5 * widths[0], name


def test_ten_thousand_images_take_well_under_a_second() -> None:
    labels, scores = made(10_000, 10)
    start = time.perf_counter()
    measure(labels, scores, [str(k) for k in range(10)], probabilities=True)
    assert time.perf_counter() - start < 5, "0.3 s on a quiet core"

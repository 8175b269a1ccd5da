"""Calibration: its error, its curve, and the temperature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.calibration import (
    calibration_error,
    fit_temperature,
    logits,
    read_validation,
    reliability,
    tempered,
    write_validation,
)
from classifiers.intervals import wilson
from features.errors import UserError

Problem = tuple[np.ndarray, np.ndarray]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Labels and probabilities (images, classes)."""
    images, classes = draw(st.integers(1, 40)), draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    probabilities = rng.dirichlet(np.full(classes, draw(st.sampled_from([0.1, 1.0]))), images)
    return rng.integers(0, classes, images), probabilities.astype(np.float32)


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
def test_the_curve_adds_up_to_the_error_and_to_the_images(problem: Problem) -> None:
    labels, probabilities = problem
    curve = reliability(labels, probabilities)
    assert sum(place["images"] for place in curve) == len(labels)
    gaps = [place["images"] * abs(place["accuracy"] - place["confidence"]) for place in curve]
    assert sum(gaps) / len(labels) == pytest.approx(calibration_error(labels, probabilities))
    for place in curve:
        right = round(place["accuracy"] * place["images"])
        assert (place["low"], place["high"]) == pytest.approx(wilson(right, place["images"]))


def drawn(images: int, classes: int, seed: int = 0) -> Problem:
    """Logits, and labels drawn by their softmax: the temperature is 1."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (images, classes))
    probabilities = tempered(scores, 1.0)
    labels = (probabilities.cumsum(axis=1) < rng.random((images, 1))).sum(axis=1)
    return labels.clip(0, classes - 1), scores


@pytest.mark.parametrize("factor", [0.02, 0.3, 1.0, 4.0, 200.0])
def test_the_temperature_undoes_how_sharp_the_logits_were_made(factor: float) -> None:
    labels, scores = drawn(20_000, 5)
    assert fit_temperature(scores * factor, labels) == pytest.approx(factor, rel=0.05)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 6), st.floats(0.2, 5), st.integers(0, 99))
def test_no_other_temperature_fits_better(classes: int, factor: float, seed: int) -> None:
    labels, scores = drawn(60, classes, seed)
    scores = scores * factor

    def loss(temperature: float) -> float:
        wide = scores / temperature
        wide -= wide.max(axis=1, keepdims=True)
        normal = np.log(np.exp(wide).sum(axis=1))
        return float((normal - wide[np.arange(60), labels]).mean())

    found = fit_temperature(scores, labels)
    assert loss(found) <= min(loss(t) for t in np.geomspace(1e-3, 1e3, 300)) + 1e-6


def test_it_lowers_the_error_of_a_head_that_is_too_sure_and_changes_no_prediction() -> None:
    labels, scores = drawn(6000, 5)
    sure = tempered(scores, 0.3)
    temperature = fit_temperature(logits(sure[:3000], probabilities=True), labels[:3000])
    mended = tempered(logits(sure[3000:], probabilities=True), temperature)
    assert temperature > 2
    before, after = (calibration_error(labels[3000:], p) for p in (sure[3000:], mended))
    assert before > 0.15
    assert after < 0.05
    assert np.array_equal(mended.argmax(axis=1), sure[3000:].argmax(axis=1))
    assert mended.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_where_everything_is_right_or_chance_the_temperature_is_the_last_one_looked_at() -> None:
    sure = np.array([[2.0, 0.0], [0.0, 2.0]])
    assert fit_temperature(sure, np.array([0, 1])) == 1e-3
    assert fit_temperature(sure, np.array([1, 0])) == 1e3


def test_a_class_that_was_never_seen_has_no_probability_and_decides_nothing() -> None:
    labels, scores = drawn(500, 3)
    wider = np.column_stack([scores, np.full(500, -np.inf)])
    strange = np.where(np.arange(500) < 5, 3, labels)
    expected = fit_temperature(scores[5:], labels[5:])
    assert fit_temperature(wider, strange) == pytest.approx(expected, rel=1e-4)
    assert (tempered(wider, expected)[:, 3] == 0).all()
    with pytest.raises(ValueError, match="no image of a class that the head knows"):
        fit_temperature(wider, np.full(500, 3))
    with pytest.raises(ValueError, match="not a number"):
        fit_temperature(wider * np.nan, labels)


def test_what_validation_said_is_kept(tmp_path: Path) -> None:
    assert read_validation(tmp_path) is None
    labels, scores = np.array([1, 0]), np.eye(2, dtype=np.float32)
    write_validation(tmp_path, ["a", "b"], labels, scores)
    kept = read_validation(tmp_path)
    assert kept is not None
    assert np.array_equal(kept[0], labels)
    assert np.array_equal(kept[1], scores)
    file = tmp_path / "validation.npz"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(UserError, match="damaged"):
        read_validation(tmp_path)

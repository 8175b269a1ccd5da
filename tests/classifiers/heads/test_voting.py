"""Soft voting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.heads.voting import fit_temperature, logits, softmax, vote


def test_each_head_weighs_the_same() -> None:
    one = np.array([[0.9, 0.1], [0.4, 0.6]], np.float32)
    other = np.array([[0.2, 0.8], [0.3, 0.7]], np.float32)
    mean = vote([one, one, other])
    assert mean.dtype == np.float32
    assert mean == pytest.approx((2 * one + other) / 3)


def test_heads_of_other_images_or_none_are_refused() -> None:
    with pytest.raises(ValueError, match="same images and classes"):
        vote([np.ones((3, 2)), np.ones((3, 4))])
    with pytest.raises(ValueError, match="same images and classes"):
        vote([])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 100),
    classes=st.integers(2, 20),
    temperature=st.floats(0.05, 20),
    probabilities=st.booleans(),
)
def test_the_temperature_that_labels_were_drawn_at_is_found(
    seed: int, classes: int, temperature: float, probabilities: bool
) -> None:
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 2, (20000, classes))
    labels = (softmax(true).cumsum(axis=1) > rng.random((20000, 1))).argmax(axis=1)
    told = (true * temperature).astype(np.float32)
    if probabilities:
        # No further from 0 and 1 than float32 can say.
        temperature = min(temperature, 1.0)
        told = softmax(true, 1 / temperature)
    found = fit_temperature(logits(told, probabilities=probabilities), labels)
    assert found == pytest.approx(temperature, rel=0.1)


def test_probabilities_at_a_temperature_of_1_come_back() -> None:
    shares = np.array([[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]], np.float32)
    assert softmax(logits(shares, probabilities=True)) == pytest.approx(shares, abs=1e-6)


def test_a_class_that_a_head_never_saw_gets_nothing() -> None:
    scores = np.array([[1.0, -np.inf, 2.0], [3.0, -np.inf, 0.0]], np.float32)
    shares = softmax(scores, 0.5)
    assert shares.sum(axis=1) == pytest.approx(1)
    assert (shares[:, 1] == 0).all()
    assert np.isfinite(fit_temperature(scores, np.array([1, 0])))

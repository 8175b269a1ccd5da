"""The intervals: against their formulas, and by how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.intervals import bootstrap, f1_interval, percentile, pivotal, wilson


@settings(deadline=None)
@given(st.integers(1, 2000), st.data())
def test_wilson_is_scipy_s_and_its_formula(images: int, data: st.DataObject) -> None:
    from scipy.stats import binomtest

    correct = data.draw(st.integers(0, images))
    z, p = 1.959963984540054, correct / images
    middle = (p + z * z / (2 * images)) / (1 + z * z / images)
    half = z / (1 + z * z / images) * math.sqrt(p * (1 - p) / images + (z / (2 * images)) ** 2)
    low, high = wilson(correct, images)
    peer = binomtest(correct, images).proportion_ci(0.95, method="wilson")
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-9)
    assert (low, high) == pytest.approx((peer.low, peer.high), abs=1e-9)
    assert 0 <= low <= p <= high <= 1


def test_of_no_image_nothing_is_known() -> None:
    assert wilson(0, 0) == (0, 1)
    assert f1_interval(0, 0) == (0, 1)


def test_a_class_without_an_error_among_few_images_is_not_sure_to_be_perfect() -> None:
    low, high = f1_interval(10, 0)
    assert (low, high) == pytest.approx((2 * 0.7225 / 1.7225, 1), abs=1e-3)


def test_the_interval_of_f1_holds_the_truth_about_as_often_as_it_says() -> None:
    """A class with recall 0.8 and precision 0.7273: its true F1 is 0.7619."""
    rng = np.random.default_rng(0)
    hits = rng.binomial(50, 0.8, 2000)
    false = rng.binomial(150, 0.1, 2000)
    truth = 2 * 40 / (2 * 40 + 10 + 15)
    ends = [f1_interval(int(h), int(50 - h + f)) for h, f in zip(hits, false, strict=True)]
    assert 0.93 < np.mean([low <= truth <= high for low, high in ends]) < 0.98


def test_resamples_keep_every_class_s_size_and_are_the_same_each_time() -> None:
    labels = np.array([2, 0, 0, 1, 2, 0, 2, 2])
    seen: list[np.ndarray] = []

    def note(rows: np.ndarray) -> tuple[float, ...]:
        seen.append(rows)
        return (0.0,)

    bootstrap(labels, note)
    first = np.array(seen)
    assert first.shape == (1000, 8)
    assert (labels[first] == np.sort(labels)).all()
    assert set(first.ravel()) == set(range(8))
    assert len(np.unique(first, axis=0)) > 500
    seen.clear()
    bootstrap(labels, note)
    assert np.array_equal(first, np.array(seen))


def test_the_percentiles_of_a_mean_are_its_normal_interval() -> None:
    values = np.random.default_rng(0).normal(3, 2, 4000)
    labels = np.zeros(4000, int)
    low, high = percentile(bootstrap(labels, lambda rows: (values[rows].mean(),))[:, 0])
    half = 1.96 * values.std() / math.sqrt(4000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=half / 8)


@given(st.lists(st.floats(0, 1), min_size=2), st.floats(0, 1))
def test_the_pivotal_interval_holds_its_figure_and_is_not_negative(
    resampled: list[float], figure: float
) -> None:
    low, high = pivotal(np.array(resampled), figure)
    assert low >= 0
    assert figure <= high

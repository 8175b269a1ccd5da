"""Means, scales, class sums and the Gram matrix, from one reading in float32."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.solvers.moments import moments, moments_and_gram
from classifiers.solvers.rows import Rows


@settings(deadline=None, max_examples=50)
@given(
    st.integers(2, 3000),
    st.floats(-6, 6),
    st.floats(-3, 3),
    st.booleans(),
    st.integers(0, 1000),
)
def test_they_are_those_of_float64_however_far_the_features_lie(
    rows: int, magnitude: float, spread: float, by_class: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, rows)
    if by_class:  # the first rows are then not like the others
        codes.sort()
    X = rng.normal(size=(rows, 4)) + 3 * rng.normal(size=(3, 4))[codes]
    X = (X * 10**spread + rng.choice([-1, 1], 4) * 10**magnitude).astype(np.float32)
    X[:, 3] = 10**magnitude
    exact = X.astype(float)
    deviation = exact.std(axis=0)
    found, gram = moments_and_gram(Rows(X, codes), 3)
    assert found.mean == pytest.approx(exact.mean(axis=0), rel=1e-6, abs=1e-5 * 10**spread)
    assert found.inverse_scale[3] == 0
    varies = deviation > 0
    Z = np.where(varies, (exact - exact.mean(axis=0)) / np.where(varies, deviation, 1), 0)
    # Steps of float32 that are large against the deviation leave little to standardise.
    assert found.inverse_scale * deviation == pytest.approx(varies.astype(float), rel=1e-3)
    assert np.abs(gram - Z.T @ Z).max() < 1e-3 * rows
    sums = np.stack([Z[codes == code].sum(axis=0) for code in range(3)])
    assert np.abs(found.class_sums - sums).max() < 1e-3 * rows
    assert found.counts.tolist() == np.bincount(codes, minlength=3).tolist()
    assert bool(len(found.shift)) == bool((np.abs(found.mean) * found.inverse_scale > 32).any())

    alone = moments(Rows(X, codes), 3)
    assert alone.inverse_scale == pytest.approx(found.inverse_scale, rel=1e-3)
    assert np.abs(alone.class_sums - sums).max() < 1e-3 * rows


def test_folded_weights_score_raw_features_as_the_others_do_standardised_ones() -> None:
    rng = np.random.default_rng(0)
    X, codes = rng.normal(30, 2, (50, 4)).astype(np.float32), np.arange(50) % 2
    found = moments(Rows(X, codes), 2)
    W, b = rng.normal(size=(2, 4)), rng.normal(size=2)
    coef, intercept = found.raw(W, b)
    Z = (X - X.mean(axis=0, dtype=float)) / X.std(axis=0, dtype=float)
    assert X @ coef.T + intercept == pytest.approx(Z @ W.T + b, abs=1e-4)

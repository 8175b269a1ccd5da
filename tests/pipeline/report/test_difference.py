"""Telling two runs apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.difference import paired, unpaired


def test_a_published_example_without_pairing() -> None:
    # Newcombe 1998, table II, example (a): 56/70 and 48/80 by method 10.
    first = {"accuracy": 56 / 70, "low": 0.6917, "high": 0.8769}
    second = {"accuracy": 48 / 80, "low": 0.4904, "high": 0.7004}
    found = unpaired(first, second)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=2e-4)
    assert found.told_apart


def test_pairing_tells_apart_what_two_intervals_do_not() -> None:
    easy = np.arange(1000) < 700
    first, second = easy.copy(), easy.copy()
    second[:20] = False
    found = paired(first, second)
    assert found.value == pytest.approx(0.02)
    assert found.told_apart


def test_equal_runs_are_not_told_apart() -> None:
    right = np.arange(100) < 80
    found = paired(right, right)
    assert found.value == 0
    assert found.low < 0 < found.high


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_the_interval_turns_around_with_the_order(pairs: list[tuple[bool, bool]]) -> None:
    first, second = np.array(pairs).T
    one, other = paired(first, second), paired(second, first)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert one.low <= one.high


def test_ninety_five_percent_of_intervals_hold_the_truth() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        outcome = random.choice(4, size=200, p=[0.6, 0.15, 0.10, 0.15])
        found = paired(outcome <= 1, (outcome == 0) | (outcome == 2))
        held += found.low <= 0.05 <= found.high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)

"""The Pareto front."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from classifiers.cost import pareto


def test_a_run_that_is_slower_and_worse_is_not_worth_it() -> None:
    assert pareto([1, 2, 3, 4], [0.5, 0.7, 0.6, 0.8]) == [True, True, False, True]


def test_equal_runs_stand_together() -> None:
    assert pareto([2, 2, 2], [0.7, 0.7, 0.6]) == [True, True, False]


@given(
    st.lists(st.tuples(st.integers(0, 20).map(float), st.integers(0, 20).map(float)), min_size=1)
)
def test_every_run_is_on_the_front_or_beaten_by_one_on_it(runs: list[tuple[float, float]]) -> None:
    seconds, accuracy = map(list, zip(*runs, strict=True))
    front = pareto(seconds, accuracy)
    chosen = [run for run, on_front in zip(runs, front, strict=True) if on_front]
    for run, on_front in zip(runs, front, strict=True):
        beaten = any(s <= run[0] and a >= run[1] and (s, a) != run for s, a in chosen)
        assert beaten != on_front

"""The validation split, drawn where the data brings none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.split import stratified
from features.errors import UserError

COUNTS = st.lists(st.integers(2, 40), min_size=1, max_size=6)


def shuffled(counts: list[int]) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


@settings(deadline=None)
@given(COUNTS, st.floats(0.01, 0.99), st.integers(0, 5))
def test_every_class_gives_its_share_and_keeps_some(
    counts: list[int], share: float, seed: int
) -> None:
    labels = shuffled(counts)
    train, validation = stratified(labels, share, seed, [str(n) for n in range(len(counts))])
    assert sorted([*train, *validation]) == list(range(len(labels))), "each row once"
    drawn = np.bincount(labels[validation], minlength=len(counts))
    assert all(1 <= n < count for n, count in zip(drawn, counts, strict=True))
    assert all(abs(n - share * count) <= 1 for n, count in zip(drawn, counts, strict=True))


def test_the_draw_is_the_seed_s() -> None:
    labels = shuffled([30, 30])
    first, again, other = (stratified(labels, 0.2, seed, "ab")[1] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_class_of_one_image_is_named() -> None:
    with pytest.raises(UserError, match="only one of bee;"):
        stratified(np.array([0, 0, 1, 2, 2]), 0.2, 0, ["ant", "bee", "cow"])


@pytest.mark.parametrize("share", [0, 1, -0.1, 20])
def test_a_share_outside_zero_and_one_is_refused(share: float) -> None:
    with pytest.raises(UserError, match=f"validation: {share} "):
        stratified(np.array([0, 0, 1, 1]), share, 0, ["ant", "bee"])

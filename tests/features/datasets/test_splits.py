"""Stratified draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.datasets import DatasetSpec
from features.datasets.splits import choose, draw
from features.errors import UserError

CLASSES = ["ant", "bee", "cow"]


def spec(test: float = 0.2, seed: int = 0, limit: tuple[tuple[str, int], ...] = ()) -> DatasetSpec:
    return DatasetSpec("folder", "content", test, seed, limit)


def labels(*counts: int) -> np.ndarray:
    values = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return np.random.default_rng(0).permutation(values)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 99), st.data())
def test_a_draw_keeps_each_class_in_proportion(
    counts: list[int], seed: int, data: st.DataObject
) -> None:
    values = labels(*counts)
    count = data.draw(st.integers(1, len(values)))
    rows = draw(values, count, seed)
    assert len(rows) == count
    assert (np.diff(rows) > 0).all()
    drawn = np.bincount(values[rows], minlength=len(counts))
    assert (np.abs(drawn - np.array(counts) * count / len(values)) <= 1).all()
    assert np.array_equal(rows, draw(values, count, seed))


def test_seeds_draw_different_images() -> None:
    values = labels(50, 50)
    assert not np.array_equal(draw(values, 20, 0), draw(values, 20, 1))


@given(st.lists(st.integers(5, 40), min_size=2, max_size=3), st.integers(0, 99))
def test_train_and_test_share_no_image_and_lose_none(counts: list[int], seed: int) -> None:
    values = labels(*counts)
    picks = choose({"train": values}, CLASSES, spec(0.3, seed))
    assert list(picks) == ["train", "test"]
    rows = np.concatenate([picks["train"].rows, picks["test"].rows])
    assert sorted(rows.tolist()) == list(range(len(values)))
    assert set(values[picks["test"].rows].tolist()) == set(range(len(counts)))


def test_splits_of_the_data_are_kept() -> None:
    brought = {"train": labels(5, 5), "validation": labels(2, 2), "test": labels(3, 3)}
    picks = choose(brought, CLASSES, spec())
    assert {split: len(pick.rows) for split, pick in picks.items()} == {
        "train": 10,
        "validation": 4,
        "test": 6,
    }


def test_a_limit_is_drawn_after_the_test_split() -> None:
    values = labels(50, 50)
    whole = choose({"train": values}, CLASSES, spec())
    small = choose({"train": values}, CLASSES, spec(limit=(("train", 10), ("test", 4))))
    for split, count in (("train", 10), ("test", 4)):
        assert len(small[split].rows) == count
        assert set(small[split].rows.tolist()) <= set(whole[split].rows.tolist())
        assert np.bincount(values[small[split].rows]).tolist() == [count // 2, count // 2]


def test_a_limit_may_take_all_or_all_but_one() -> None:
    brought = {"train": labels(5, 5, 5), "test": labels(3, 3, 3)}
    for count in (14, 15):
        picks = choose(brought, CLASSES, spec(limit=(("train", count),)))
        assert len(picks["train"].rows) == count


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (("train", 16), "asks for 16 images of train, which has 15"),
        (("train", 2), "none of the classes"),
        (("train", 0), "none of the classes"),
        (("train", -1), "none of the classes"),
        (("validation", 3), "names the split 'validation'; the data has 'train', 'test'"),
    ],
)
def test_an_impossible_limit_is_named(limit: tuple[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose({"train": labels(5, 5, 5), "test": labels(3, 3, 3)}, CLASSES, spec(limit=(limit,)))


def test_a_class_with_too_few_images_is_named() -> None:
    with pytest.raises(UserError, match="'cow: 1'"):
        choose({"train": labels(50, 50, 1)}, CLASSES, spec())
    with pytest.raises(UserError, match="'cow: 2'"):
        choose({"train": labels(50, 50, 2)}, CLASSES, spec(0.99))


@pytest.mark.parametrize("brought", [["train", "validation", "test"], ["train", "test"], ["test"]])
def test_a_further_test_set_is_the_test_split_of_its_data(brought: list[str]) -> None:
    counts = {"train": (5, 5), "validation": (2, 2), "test": (3, 0)}
    picks = choose({split: labels(*counts[split]) for split in brought}, CLASSES, spec(1.0))
    assert {split: pick.source for split, pick in picks.items()} == {"test": "test"}
    assert picks["test"].rows.tolist() == [0, 1, 2]


@pytest.mark.parametrize("only", ["train", "validation"])
def test_a_further_test_set_is_all_of_what_is_not_split(only: str) -> None:
    picks = choose({only: labels(3, 1)}, CLASSES, spec(1.0))
    assert {split: pick.source for split, pick in picks.items()} == {"test": only}
    assert picks["test"].rows.tolist() == [0, 1, 2, 3]


def test_a_further_test_set_is_not_guessed_from_several_splits() -> None:
    with pytest.raises(UserError, match=r"'train', 'validation' and none of them is test"):
        choose({"train": labels(5, 5), "validation": labels(2, 2)}, CLASSES, spec(1.0))


def test_a_further_test_set_is_limited_by_its_test_split() -> None:
    brought = {"train": labels(5, 5), "test": labels(6, 3)}
    picks = choose(brought, CLASSES, spec(1.0, limit=(("test", 3),)))
    assert np.bincount(brought["test"][picks["test"].rows]).tolist() == [2, 1]
    with pytest.raises(UserError, match="names the split 'train'; the data has 'test'"):
        choose(brought, CLASSES, spec(1.0, limit=(("train", 3),)))


@pytest.mark.parametrize("share", [0.0, -0.1, 2.0, float("nan")])
def test_a_share_that_is_none_is_named(share: float) -> None:
    with pytest.raises(UserError, match=r"dataset\.test"):
        choose({"train": labels(5, 5)}, CLASSES, spec(share))
    assert choose({"train": labels(5, 5), "test": labels(5, 5)}, CLASSES, spec(share))

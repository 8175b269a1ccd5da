"""Who can be told apart: the tests against scipy and brute force, the words against made runs."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from classifiers.significance import compare_runs, holm, mcnemar, over_seeds
from features.errors import UserError

IMAGES = 2000


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_binomial_test_of_the_discordant_images(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)
    assert mcnemar(second, first) == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_with_equal_seeds_it_is_mcnemar_s(seed: int, seeds: int) -> None:
    """A head that is the same for all its seeds gains nothing by having several."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 2, (2, 50))
    expected = mcnemar(
        int((first & ~second & 1).sum()),
        int((second & ~first & 1).sum()),
    )
    assert over_seeds(first * seeds, second * seeds, (seeds, seeds)) == pytest.approx(expected)
    assert over_seeds(first * seeds, second, (seeds, 1)) == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4))
def test_over_seeds_it_is_what_flipping_every_sign_gives(seed: int, a: int, b: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, a + 1, 9), rng.integers(0, b + 1, 9)
    differences = first * b - second * a
    sums = [abs(np.dot(signs, differences)) for signs in product((-1, 1), repeat=9)]
    expected = np.mean(np.array(sums) >= abs(differences.sum()))
    assert over_seeds(first, second, (a, b)) == pytest.approx(expected, abs=1e-9)


def test_equally_good_heads_are_told_apart_as_seldom_as_the_level_says() -> None:
    """Images have a difficulty of their own, so that the seeds of a head agree."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(300):
        chance = rng.beta(2, 1, 400)
        tendency = np.clip(chance + rng.normal(0, 0.3, (2, 400)), 0, 1)
        first, second = (rng.binomial(3, tendency[k]) for k in (0, 1))
        found += over_seeds(first, second, (3, 3)) < 0.05
    assert found <= 25, "15 are expected; pooling the seeds' images would find twice as many"


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_its_steps_reject(values: list[float]) -> None:
    corrected = holm(values)
    rejected: set[int] = set()
    for step, index in enumerate(np.argsort(values, kind="stable")):
        if values[index] * (len(values) - step) >= 0.05:
            break
        rejected.add(int(index))
    assert {i for i, p in enumerate(corrected) if p < 0.05} == rejected
    assert all(p <= c <= 1 for p, c in zip(values, corrected, strict=True))


def run(
    folder: Path,
    head: str,
    right: np.ndarray,
    validation: float,
    seed: int = 0,
    dimensions: int = 8,
) -> Path:
    """A run that is right where it is told to be."""
    path = folder / f"net.{head}.{seed}" / "metrics.json"
    path.parent.mkdir(parents=True)
    fields = {"backbone": "net", "head": head, "seed": seed, "dimensions": dimensions}
    path.write_text(json.dumps(fields | {"validation": {"accuracy": validation}}))
    labels = np.arange(len(right)) % 3
    np.savez(
        path.with_name("predictions.npz"),
        ids=np.array([str(i) for i in range(len(right))]),
        labels=labels,
        predicted=np.where(right, labels, (labels + 1) % 3),
    )
    return path


def right(share: float, seed: int) -> np.ndarray:
    """Right on about that share of the images, mostly the same ones."""
    difficulty = np.random.default_rng(0).random(IMAGES)
    return difficulty + np.random.default_rng(seed).normal(0, 0.05, IMAGES) < share


def compared(paths: list[Path], output: Path) -> dict[str, Any]:
    compare_runs(paths, output)
    fields: dict[str, Any] = json.loads(output.read_text())
    return fields


def test_the_pairs_and_the_words_say_who_can_be_told_apart(tmp_path: Path) -> None:
    shares = {"a": 0.800, "b": 0.801, "c": 0.799, "d": 0.60}
    paths = [
        run(tmp_path, head, right(share, place), 0.8 - place / 100)
        for place, (head, share) in enumerate(shares.items())
    ]
    found = compared(paths[::-1], tmp_path / "comparison.json")
    assert found["images"] == IMAGES
    assert [head["name"] for head in found["heads"]] == ["net.a", "net.b", "net.c", "net.d"]
    assert [head["told_from_best"] for head in found["heads"]] == [False, False, False, True]
    assert len(found["pairs"]) == 6
    truth = {
        f"net.{head}": right(share, place) for place, (head, share) in enumerate(shares.items())
    }
    for pair in found["pairs"]:
        one, other = truth[pair["first"]], truth[pair["second"]]
        assert pair["only_first"] == (one & ~other).sum()
        assert pair["only_second"] == (other & ~one).sum()
        assert pair["p"] == pytest.approx(
            binomtest(int((one & ~other).sum()), int((one ^ other).sum())).pvalue
        )
        assert pair["difference"] == pytest.approx(one.mean() - other.mean())
    assert found["words"] == [
        "These three cannot be told apart on 2,000 images: net.a, net.b and net.c.",
        "The other one is worse than net.a.",
    ]


def test_who_is_better_on_test_than_the_chosen_one_is_named(tmp_path: Path) -> None:
    paths = [
        run(tmp_path, "chosen", right(0.70, 1), 0.9),
        run(tmp_path, "better", right(0.80, 2), 0.8),
    ]
    found = compared(paths, tmp_path / "comparison.json")
    assert [head["name"] for head in found["heads"]] == ["net.chosen", "net.better"]
    assert found["words"][0] == "net.chosen can be told from every other head on 2,000 images."
    assert found["words"][1].startswith("On the test images net.better is better than net.chosen")


def test_a_group_in_which_two_can_be_told_apart_is_no_group(tmp_path: Path) -> None:
    middle = np.arange(IMAGES) < 1600
    upper, lower = middle.copy(), middle.copy()
    upper[[*range(1600, 1612)]], upper[[0, 1, 2]] = True, False
    lower[[*range(1612, 1615)]], lower[[*range(3, 15)]] = True, False
    heads = {"middle": middle, "upper": upper, "lower": lower}
    paths = [
        run(tmp_path, head, found, 0.9 - place / 10)
        for place, (head, found) in enumerate(heads.items())
    ]
    found = compared(paths, tmp_path / "comparison.json")
    assert found["words"] == [
        "On 2,000 images net.middle cannot be told from net.upper and net.lower.",
        "Among these, though, can be told apart: net.upper from net.lower.",
    ]


def test_seeds_are_put_together_and_ranked_by_their_mean(tmp_path: Path) -> None:
    paths = [
        *(run(tmp_path, "dense", right(0.8, s), 0.70 + s / 100, seed=s) for s in range(3)),
        run(tmp_path, "knn", right(0.7, 9), 0.705),
    ]
    found = compared(paths, tmp_path / "comparison.json")
    dense, knn = found["heads"]
    assert (dense["name"], dense["seeds"]) == ("net.dense", [0, 1, 2])
    assert dense["validation"] == pytest.approx(0.71)
    assert dense["test"] == pytest.approx(np.mean([right(0.8, s).mean() for s in range(3)]))
    (pair,) = found["pairs"]
    assert pair["p_holm"] < 1e-6
    shares = np.mean([right(0.8, s) for s in range(3)], axis=0)
    assert pair["only_first"] == pytest.approx((shares * ~right(0.7, 9)).sum())
    assert knn["told_from_best"]


def test_one_head_is_nothing_to_compare(tmp_path: Path) -> None:
    found = compared([run(tmp_path, "a", right(0.8, 0), 0.8)], tmp_path / "comparison.json")
    assert found["pairs"] == []
    assert found["words"] == ["There is one head, and nothing to compare it with."]


def test_other_images_or_missing_predictions_are_told(tmp_path: Path) -> None:
    one = run(tmp_path, "a", right(0.8, 0), 0.8)
    other = run(tmp_path, "b", right(0.8, 0)[:-1], 0.8)
    with pytest.raises(UserError, match="different test images"):
        compare_runs([one, other], tmp_path / "comparison.json")
    other.with_name("predictions.npz").unlink()
    with pytest.raises(UserError, match=r"predictions\.npz: missing"):
        compare_runs([one, other], tmp_path / "comparison.json")
    assert not (tmp_path / "comparison.json").exists()

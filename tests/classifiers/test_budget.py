"""Learning curves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.budget import drawn, evaluate_curve, learning_curve
from classifiers.data import Features
from classifiers.fit import fit_head
from classifiers.heads import make_head
from classifiers.spec import Choice, HeadSpec
from classifiers.split import stratified
from features.errors import UserError

WriteFeatures = Callable[..., Path]

LOGISTIC = HeadSpec("logistic", {"C": 0.1})


@pytest.fixture
def noisy(write: WriteFeatures, tmp_path: Path) -> tuple[Path, Path]:
    """A hard problem of 600 training images, and the folder of a fitted run."""
    path = write(train=np.arange(600) % 3, test=np.arange(300) % 3, noise=5)
    folder = tmp_path / "net.logistic.1"
    fit_head(path, LOGISTIC, folder, validation=0.2, seed=1)
    return path, folder


def read(path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(path.read_text())
    return fields


def test_more_labels_help_and_every_budget_is_there(
    noisy: tuple[Path, Path], tmp_path: Path
) -> None:
    path, folder = noisy
    learning_curve(path, folder, tmp_path / "budget.json", validation=0.2)
    curve = read(tmp_path / "budget.json")
    assert (curve["run"], curve["split"], curve["held"]) == ("net.logistic.1", "validation", 120)
    images = {row["budget"]: row["images"] for row in curve["rows"]}
    assert images == {
        **{"1 a class": 3, "5 a class": 15, "10 a class": 30},
        **{"1 %": 6, "5 %": 24, "10 %": 48, "25 %": 120, "100 %": 480},
    }
    seeds = [row["seed"] for row in curve["rows"] if row["budget"] == "5 %"]
    assert seeds == [0, 1, 2]
    assert sum(row["budget"] == "100 %" for row in curve["rows"]) == 1
    mean = {
        budget: np.mean([row["accuracy"] for row in curve["rows"] if row["budget"] == budget])
        for budget in images
    }
    assert mean["1 a class"] + 0.05 < mean["5 %"] < mean["100 %"]
    for row in curve["rows"]:
        assert row["low"] < row["accuracy"] < row["high"]


def test_the_whole_budget_is_the_head_of_the_training_rows(
    noisy: tuple[Path, Path], tmp_path: Path
) -> None:
    path, folder = noisy
    learning_curve(path, folder, tmp_path / "budget.json", validation=0.2)
    evaluate_curve(path, tmp_path / "budget.json", tmp_path / "test.json")
    with Features(path) as file:
        values, labels = file.matrix("train", Choice("last", "identity")), file.labels("train")
        train, held = stratified(labels, 0.2, 1, file.classes)
        test, truth = file.matrix("test", Choice("last", "identity")), file.labels("test")
    head = make_head("logistic", {"C": 0.1}, 0).fit(values[train], labels[train])
    before, after = read(tmp_path / "budget.json"), read(tmp_path / "test.json")
    assert before["rows"][-1]["accuracy"] == head.score(values[held], labels[held])
    assert after["rows"][-1]["accuracy"] == head.score(test, truth)
    assert (after["split"], after["held"]) == ("test", 300)
    same = ("budget", "size", "images", "seed")
    assert [[row[name] for name in same] for row in after["rows"]] == [
        [row[name] for name in same] for row in before["rows"]
    ]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(0, 99))
def test_budgets_are_nested_and_hold_every_class(given_labels: list[int], seed: int) -> None:
    labels = np.array(given_labels)
    previous = np.zeros(len(labels), bool)
    for size in (0.01, 0.1, 0.5, 1.0):
        chosen = drawn(labels, size, seed)
        assert (chosen >= previous).all()
        assert set(labels[chosen]) == set(labels)
        previous = chosen
    assert previous.all()
    for shots in (1, 3):
        counts = np.bincount(labels[drawn(labels, shots, seed)])
        assert (counts == np.minimum(np.bincount(labels), shots)).all()


def test_seeds_draw_different_images() -> None:
    labels = np.arange(300) % 3
    assert (drawn(labels, 0.1, 0) != drawn(labels, 0.1, 1)).any()


def test_neighbours_are_as_many_as_there_are(write: WriteFeatures, tmp_path: Path) -> None:
    path = write(train=np.arange(90) % 3, test=np.arange(30) % 3)
    head = HeadSpec("knn", {"k": 20, "metric": "cosine"})
    fit_head(path, head, tmp_path, validation=0.2, seed=0)
    learning_curve(path, tmp_path, tmp_path / "b.json", validation=0.2, shots=[1], shares=[1.0])
    one, whole = (
        [row for row in read(tmp_path / "b.json")["rows"] if row["budget"] == budget]
        for budget in ("1 a class", "100 %")
    )
    assert all(row["accuracy"] is not None for row in one)
    assert whole[0]["accuracy"] == 1


def test_a_fit_that_fails_is_told_and_stops_no_other(
    noisy: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(type: str, settings: dict[str, Any], seed: int, choice: Choice) -> Any:
        if seed == 1:
            raise ValueError("too few images\nfor this")
        return make_head(type, settings, seed, choice)

    monkeypatch.setattr("classifiers.budget.make_head", broken)
    path, folder = noisy
    learning_curve(path, folder, tmp_path / "b.json", validation=0.2, shots=[5], shares=[])
    rows = read(tmp_path / "b.json")["rows"]
    assert [row["accuracy"] is None for row in rows] == [False, True, False]
    assert rows[1]["warnings"] == ["too few images"]


def test_an_impossible_budget_and_other_features_are_told(
    noisy: tuple[Path, Path], write: WriteFeatures, tmp_path: Path
) -> None:
    path, folder = noisy
    output = tmp_path / "b.json"
    with pytest.raises(UserError, match=r"budget: 1\.5 is neither"):
        learning_curve(path, folder, output, validation=0.2, shares=[1.5])
    other = write(train=np.arange(60) % 3, test=np.arange(9) % 3, source="other")
    with pytest.raises(UserError, match="fitted on features"):
        learning_curve(other, folder, output, validation=0.2)
    assert not output.exists()

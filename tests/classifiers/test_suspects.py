"""Labels that are wrong on purpose are found."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classifiers.fit import fit_head
from classifiers.spec import Choice, HeadSpec
from classifiers.suspects import COLUMNS, confident_learning, find_suspects, out_of_fold
from features.errors import UserError

WriteFeatures = Callable[..., Path]


def flipped(labels: np.ndarray, share: float, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which a share is another one, and which these are."""
    rng = np.random.default_rng(0)
    wrong = np.zeros(len(labels), bool)
    wrong[rng.choice(len(labels), round(share * len(labels)), replace=False)] = True
    other = (labels + rng.integers(1, classes, len(labels))) % classes
    return np.where(wrong, other, labels), wrong


@pytest.mark.parametrize(
    ("type", "settings"), [("logistic", {"C": 0.01}), ("ridge", {"alpha": 100.0})]
)
def test_flipped_digits_are_found(type: str, settings: dict[str, float]) -> None:
    """5 % of the labels of scikit-learn's digits, by a head on the bare pixels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    labels, wrong = flipped(digits.target, 0.05, 10)
    probabilities = out_of_fold(
        digits.data.astype(np.float32), labels, type, settings, classes=10, folds=5, seed=0
    )
    found = confident_learning(labels, probabilities)
    hits = wrong[found.rows]
    assert hits.sum() / wrong.sum() > 0.85
    assert hits.mean() > 0.7
    assert hits[: len(hits) // 2].mean() > 0.95, "the likeliest come first"
    assert (found.suggested[hits] == digits.target[found.rows[hits]]).mean() > 0.9
    assert (np.diff(found.scores) <= 0).all()


def test_where_nothing_is_wrong_nothing_is_found() -> None:
    labels = np.arange(90) % 3
    sure = np.full((90, 3), 0.05)
    sure[np.arange(90), labels] = 0.9
    assert len(confident_learning(labels, sure).rows) == 0


def test_the_thresholds_are_each_class_s_own_mean() -> None:
    """Of class 1 the head is never sure, so that 0.3 is enough to be it."""
    probabilities = np.array(
        [[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.7, 0.3], [0.7, 0.3]]
    )
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = confident_learning(labels, probabilities)
    assert found.rows.tolist() == [2]
    assert found.suggested.tolist() == [1]
    assert found.scores == pytest.approx([0.2])


def test_the_only_image_of_a_class_is_no_suspect() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    probabilities = np.eye(3)[[0, 0, 1, 1, 0]]
    assert len(confident_learning(labels, probabilities).rows) == 0


def test_suspects_are_listed_with_their_names_and_the_test_split_stays_closed(
    write: WriteFeatures, tmp_path: Path
) -> None:
    truth = np.arange(120) % 3
    labels = truth.copy()
    labels[[7, 50]] = [0, 1]
    clusters = np.random.default_rng(1).normal(0, 3, (3, 6))
    noise = np.random.default_rng(2).normal(0, 0.5, (120, 6))
    arrays = {
        (view, layer): clusters[truth] + noise
        for view in ("identity", "mirror")
        for layer in ("early", "late")
    }
    poison = {key: np.full((9, 6), np.nan) for key in arrays}
    path = write(train=labels, test=np.arange(9) % 3, replaced={"train": arrays, "test": poison})
    folder = tmp_path / "net.knn.0"
    head = HeadSpec("knn", {"k": 5, "metric": "euclidean"}, Choice("last", "mean"))
    fit_head(path, head, folder, validation=0.2, seed=0)
    assert find_suspects(path, folder, tmp_path / "suspects.csv", validation=0.2) == 2
    with (tmp_path / "suspects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    named = {row["image"]: (row["given"], row["suggested"]) for row in rows}
    assert named == {"train/7.png": ("ant", "bee"), "train/50.png": ("bee", "cow")}
    assert all(float(row["score"]) > 0.5 for row in rows)


def test_other_features_are_told(write: WriteFeatures, tmp_path: Path) -> None:
    labels = np.arange(60) % 3
    head = HeadSpec("knn", {"k": 5, "metric": "euclidean"}, Choice("last", "mean"))
    fit_head(write(train=labels), head, tmp_path, validation=0.2, seed=0)
    with pytest.raises(UserError, match="fitted on features"):
        find_suspects(
            write(train=labels, source="other"), tmp_path, tmp_path / "s.csv", validation=0.2
        )


def test_a_head_that_cannot_be_fitted_on_the_folds_is_told() -> None:
    values = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    settings = {"k": 20, "metric": "cosine"}
    with pytest.raises(UserError, match="head knn, fold 1 of 3"):
        out_of_fold(values, np.arange(6) % 2, "knn", settings, classes=2, folds=3, seed=0)

"""Settings chosen by cross-validation, and features that are read block by block."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.calibration import read_validation, validation_ids
from classifiers.evaluate import evaluate_head
from classifiers.fit import fit_head
from classifiers.pools import folds_of
from classifiers.spec import Choice, HeadSpec
from classifiers.store import read_json
from features.errors import UserError

WriteFeatures = Callable[..., Path]

DENSE = {
    "hidden": [8],
    "dropout": 0.0,
    "stack": None,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": "constant",
    "label_smoothing": 0.0,
    "epochs": 4,
    "batch_size": 16,
    "monitor": "accuracy",
    "patience": 2,
    "standardise": True,
}


def test_folds_hold_every_row_once_and_every_class_evenly() -> None:
    labels = np.random.default_rng(0).integers(0, 4, 101)
    fold = folds_of(labels, 5, 7)
    counts = np.array([np.bincount(fold[labels == label], minlength=5) for label in range(4)])
    assert set(fold) == set(range(5))
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


def test_every_image_is_judged_once_by_a_head_that_had_not_seen_it(
    write: WriteFeatures, tmp_path: Path
) -> None:
    path = write(train=np.arange(90) % 3, validation=np.arange(30) % 3, noise=4)
    head = HeadSpec("logistic", {"C": [0.001, 0.1, 10.0]})
    fit_head(path, head, tmp_path, validation=0.1, seed=0, folds=4)
    with (tmp_path / "selection.csv").open() as file:
        rows = list(csv.DictReader(file))
    fitted = read_json(tmp_path / "fit.json")
    held = read_validation(tmp_path)
    assert held is not None
    assert len(set(validation_ids(tmp_path))) == len(held[0]) == 120
    assert fitted["validation"]["images"] == 120
    assert fitted["validation"]["folds"] == 4
    assert [float(row["C"]) for row in rows] == [0.001, 0.1, 10.0]
    assert fitted["validation"]["accuracy"] == max(float(row["accuracy"]) for row in rows)
    # By a warm start, and once more from zero: the same but for an image or two.
    judged = (held[1].argmax(axis=1) == held[0]).mean()
    assert judged == pytest.approx(fitted["validation"]["accuracy"], abs=0.02)
    assert judged < 1, "it would be, had they been seen"


def test_nearest_neighbours_out_of_fold_are_not_the_images_themselves(
    write: WriteFeatures, tmp_path: Path
) -> None:
    """With one neighbour, an image that had been seen is always right."""
    path = write(train=np.arange(120) % 3, noise=9)
    head = HeadSpec("knn", {"k": 1, "metric": "cosine"})
    fit_head(path, head, tmp_path, validation=0.1, seed=0, folds=5)
    assert read_json(tmp_path / "fit.json")["validation"]["accuracy"] < 0.8


@pytest.mark.parametrize(
    "head",
    [HeadSpec("ridge", {"alpha": [100.0, 1.0]}), HeadSpec("dense", DENSE)],
    ids=lambda head: head.type,
)
def test_a_class_that_a_fold_lacks_is_handled(
    head: HeadSpec, write: WriteFeatures, tmp_path: Path
) -> None:
    labels = np.concatenate([np.zeros(20), np.ones(20), [2]]).astype(int)
    path, folder = write(train=labels, test=labels), tmp_path / "net.head.0"
    fit_head(path, head, folder, validation=0.1, seed=0, folds=3)
    held = read_validation(folder)
    assert held is not None
    (place,) = np.flatnonzero(held[0] == 2)
    assert held[1][place, 2] in (0, -np.inf), "the fold without it never saw the class"
    evaluate_head(path, folder)
    assert np.isfinite(read_json(folder / "metrics.json")["calibration"]["temperature"])


def test_a_dense_head_stops_where_the_folds_stopped(write: WriteFeatures, tmp_path: Path) -> None:
    path = write(train=np.arange(90) % 3, noise=4)
    fit_head(path, HeadSpec("dense", DENSE), tmp_path, validation=0.1, seed=0, folds=3)
    fitted = read_json(tmp_path / "fit.json")
    assert 1 <= fitted["refit"]["until"] <= 4


SETTINGS: dict[str, dict[str, Any]] = {
    "logistic": {"C": [0.01, 0.1]},
    "svm": {"C": [0.01, 0.1]},
    "ridge": {"alpha": [10.0, 1.0]},
    "lda": {"shrinkage": [0.1, 0.5]},
    "nearest_mean": {"metric": ["euclidean", "cosine"]},
}


@pytest.mark.parametrize("folds", [None, 3])
@pytest.mark.parametrize("choice", [Choice("all", "mean"), Choice("all", "rows", True, 4, True)])
@pytest.mark.parametrize("type", SETTINGS)
def test_a_fit_in_blocks_comes_to_the_same(
    type: str, choice: Choice, folds: int | None, write: WriteFeatures, tmp_path: Path
) -> None:
    path = write(train=np.arange(300) % 3, test=np.arange(90) % 3, noise=4)
    found = []
    for name, memory in (("memory", None), ("blocks", 100.0)):
        folder = tmp_path / name / f"net.{type}.0"
        head = HeadSpec(type, SETTINGS[type], choice)
        fit_head(path, head, folder, validation=0.2, seed=0, folds=folds, memory=memory)
        evaluate_head(path, folder)
        fitted = read_json(folder / "fit.json")
        assert fitted["read_in_blocks"] == (memory is not None)
        with np.load(folder / "predictions.npz") as kept:
            found.append((fitted["settings"], fitted["validation"], kept["scores"]))
    assert found[0][:2] == found[1][:2]
    assert found[0][2] == pytest.approx(found[1][2], rel=1e-2, abs=1e-2)


def test_a_dense_head_learns_from_blocks(write: WriteFeatures, tmp_path: Path) -> None:
    path = write(train=np.arange(300) % 3, noise=2)
    head = HeadSpec("dense", DENSE | {"epochs": 15}, Choice("all", "rows"))
    fit_head(path, head, tmp_path, validation=0.2, seed=0, memory=100.0)
    fitted = read_json(tmp_path / "fit.json")
    assert fitted["read_in_blocks"]
    assert fitted["validation"]["accuracy"] > 0.9


def test_a_head_that_needs_all_features_says_so(features_path: Path, tmp_path: Path) -> None:
    head = HeadSpec("knn", {"k": 3, "metric": "cosine"})
    with pytest.raises(UserError, match=r"knn wants all features in memory.*raise it.*logistic"):
        fit_head(features_path, head, tmp_path, validation=0.2, seed=0, memory=100.0)

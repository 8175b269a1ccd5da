"""Nothing before evaluation opens the test split: all of it works without one that can be read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import features
from classifiers.budget import evaluate_curve, learning_curve
from classifiers.calibration import fit_temperature, read_validation, write_validation
from classifiers.data import Features
from classifiers.evaluate import evaluate_head
from classifiers.fit import fit_head
from classifiers.heads import class_scores, make_head
from classifiers.pools import read_pool
from classifiers.spec import Choice, HeadSpec
from classifiers.store import load_run
from classifiers.suspects import find_suspects
from features.errors import UserError

WriteFeatures = Callable[..., Path]

HEADS = {
    "logistic": HeadSpec("logistic", {"C": [0.001, 0.1]}, Choice("all", "mean")),
    "svm": HeadSpec("svm", {"C": [0.001, 0.01]}),
    "ridge": HeadSpec("ridge", {"alpha": [10.0, 1.0]}, Choice("all", "identity")),
    "knn": HeadSpec("knn", {"k": [9, 3], "metric": "cosine"}, Choice("last", "mean")),
    "whitened": HeadSpec("logistic", {"C": [0.001, 0.1]}, Choice("all", "mean", True, 5, True)),
    "rows": HeadSpec("ridge", {"alpha": [10.0, 1.0]}, Choice("all", "rows", pca=7)),
}


def overwrite(path: Path) -> None:
    """Fills every byte of the test split's features, labels and names with rubbish."""
    with features.open(path) as file:
        places = {
            name: (file.offset(name), file.dtype(name).itemsize * int(np.prod(file.shape(name))))
            for name in file.names()
            if name.startswith("test/")
        }
    assert len(places) == 6
    rubbish = np.random.default_rng(0)
    with path.open("r+b") as raw:
        for offset, size in places.values():
            assert offset > 0
            raw.seek(offset)
            raw.write(rubbish.bytes(size))


def everything_before_evaluation(path: Path, type: str, folder: Path) -> dict[str, object]:
    """Search, refit, temperature, learning curve and suspects; gives what was found."""
    fit_head(path, HEADS[type], folder, validation=0.25, seed=3)
    fitted = json.loads((folder / "fit.json").read_text())
    choice = HEADS[type].choice
    with Features(path) as opened:
        pool = read_pool(opened, choice, validation=0.25, seed=3)
    train = slice(0, pool.training)
    head = make_head(HEADS[type].type, fitted["settings"], 3, choice)
    head.fit(pool.values[train], pool.labels[train])
    scores = class_scores(head, pool.values[pool.training :], 3)
    write_validation(folder, pool.ids[pool.training :], pool.labels[pool.training :], scores)
    learning_curve(path, folder, folder / "budget.json", validation=0.25, seeds=[0])
    find_suspects(path, folder, folder / "suspects.csv", validation=0.25)
    rows = list(csv.DictReader((folder / "selection.csv").open()))
    curve = json.loads((folder / "budget.json").read_text())
    kept = read_validation(folder)
    assert kept is not None
    return {
        "search": [(row["accuracy"], row["warnings"]) for row in rows],
        "settings": fitted["settings"],
        "validation": fitted["validation"],
        "refitted": load_run(folder, fitted)[0].predict(pool.values).tolist(),
        "temperature": fit_temperature(kept[1], kept[0]),
        "curve": [(row["images"], row["accuracy"]) for row in curve["rows"]],
        "suspects": (folder / "suspects.csv").read_text(),
    }


@pytest.mark.parametrize("type", HEADS)
def test_all_but_the_evaluation_is_the_same_without_a_readable_test_split(
    type: str, write: WriteFeatures, tmp_path: Path
) -> None:
    path = write(train=np.arange(120) % 3, test=np.arange(40) % 3, noise=4)
    whole = tmp_path / f"net.{type}.3"
    expected = everything_before_evaluation(path, type, whole)
    evaluate_head(path, whole)
    evaluate_curve(path, whole / "budget.json", whole / "budget-test.json")

    overwrite(path)
    folder = tmp_path / "blind" / f"net.{type}.3"
    assert everything_before_evaluation(path, type, folder) == expected
    assert (folder / "head.skops").is_file()
    with pytest.raises(UserError, match=r"test/.* are not as they were written"):
        evaluate_head(path, folder)
    with pytest.raises(UserError, match=r"test/.* are not as they were written"):
        evaluate_curve(path, folder / "budget.json", folder / "budget-test.json")
    assert not (folder / "metrics.json").exists()
    assert not (folder / "predictions.npz").exists()
    assert not (folder / "budget-test.json").exists()


@pytest.mark.parametrize("type", HEADS)
def test_the_standardisation_is_of_the_rows_that_are_fitted_on(
    type: str, write: WriteFeatures, tmp_path: Path
) -> None:
    """A test split on quite another scale changes no statistic of the saved head, in no digit."""
    labels, rng = np.arange(120) % 3, np.random.default_rng(0)
    far = {
        (view, layer): rng.normal(500, 90, (40, width))
        for view in ("identity", "mirror")
        for layer, width in (("early", 4), ("late", 6))
    }
    predicted = []
    for name, replaced in (("near", {}), ("far", {"test": far})):
        path = write(train=labels, test=labels[:40], noise=4, replaced=replaced, source=name)
        folder = tmp_path / name
        fit_head(path, HEADS[type], folder, validation=0.25, seed=3)
        with Features(path) as opened:
            pool = read_pool(opened, HEADS[type].choice, validation=0.25, seed=3)
        head, _ = load_run(folder, json.loads((folder / "fit.json").read_text()))
        predicted.append(class_scores(head, pool.values, 3))
    assert np.array_equal(*predicted)

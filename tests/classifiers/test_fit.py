"""Choosing settings on validation, refitting, and what is written down about it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.data import Features
from classifiers.fit import fit_head
from classifiers.heads import make_head
from classifiers.spec import Choice, HeadSpec
from classifiers.split import stratified
from classifiers.store import load_head
from features.cache import FeatureFile
from features.errors import UserError

WriteFeatures = Callable[..., Path]

KNN = HeadSpec("knn", {"k": [9, 5, 1], "metric": "euclidean"})
LOGISTIC = HeadSpec("logistic", {"C": 0.1}, Choice("all", "mean"))


def fit(path: Path, head: HeadSpec, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Fits into a folder and gives its fit.json."""
    fit_head(path, head, folder, validation=0.2, seed=seed)
    fields: dict[str, Any] = json.loads((folder / "fit.json").read_text())
    return fields


def selection(folder: Path) -> list[dict[str, str]]:
    with (folder / "selection.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_most_accurate_candidate_on_validation_is_refitted_on_all(
    write: WriteFeatures, tmp_path: Path
) -> None:
    path = write(train=np.arange(120) % 3, test=np.arange(9) % 3, noise=4)
    record = fit(path, KNN, tmp_path, seed=3)

    with Features(path) as file:
        values, labels = file.matrix("train", Choice("last", "identity")), file.labels("train")
        train, validation = stratified(labels, 0.2, 3, file.classes)
    accuracies = []
    for k in (9, 5, 1):
        head = make_head("knn", {"k": k, "metric": "euclidean"}, 3)
        head.fit(values[train], labels[train])
        accuracies.append(np.mean(head.predict(values[validation]) == labels[validation]))
    assert len(set(accuracies)) > 1, "the problem must tell the candidates apart"
    assert [float(row["accuracy"]) for row in selection(tmp_path)] == accuracies
    assert [row["k"] for row in selection(tmp_path)] == ["9", "5", "1"]
    best = (9, 5, 1)[int(np.argmax(accuracies))]
    assert record["settings"] == {"k": best, "metric": "euclidean"}
    assert record["validation"] == {"accuracy": max(accuracies), "images": len(validation)}

    everything = make_head("knn", record["settings"], 3).fit(values, labels)
    saved = load_head(tmp_path / record["head"])
    assert np.array_equal(saved.predict_proba(values), everything.predict_proba(values))


def test_the_first_of_equal_candidates_is_chosen(features_path: Path, tmp_path: Path) -> None:
    record = fit(features_path, KNN, tmp_path)
    assert {row["accuracy"] for row in selection(tmp_path)} == {"1.0"}
    assert record["settings"]["k"] == 9


def test_the_validation_split_of_the_data_is_used_where_it_brings_one(
    write: WriteFeatures, tmp_path: Path
) -> None:
    """Its labels are shifted by one, so that a head fitted on train is wrong on all of it."""
    labels = np.arange(60) % 3
    path = write(train=labels, validation=labels[:30], test=labels)
    with FeatureFile(path) as file:
        arrays = {
            (view, layer): np.roll(file.array("validation", view, layer), 1, axis=0)
            for view in file.views
            for layer in file.layers
        }
    path = write(train=labels, validation=labels[:30], test=labels, replaced={"validation": arrays})
    record = fit(path, LOGISTIC, tmp_path)
    assert record["validation"] == {"accuracy": 0.0, "images": 30}
    assert record["training"] == {"images": 60}


@pytest.mark.parametrize("test_split", ["poisoned", "absent"])
def test_the_test_split_is_never_read(
    write: WriteFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, test_split: str
) -> None:
    labels = np.arange(60) % 3
    poison = {
        (view, layer): np.full((60, 2), np.nan)
        for view in ("identity", "mirror")
        for layer in ("early", "late")
    }
    if test_split == "absent":
        path = write(train=labels)
    else:
        path = write(train=labels, test=labels, replaced={"test": poison})
    read: list[str] = []
    original = FeatureFile._read

    def watched(self: FeatureFile, split: str, name: str) -> np.ndarray:
        read.append(split)
        return original(self, split, name)

    monkeypatch.setattr(FeatureFile, "_read", watched)
    for number, head in enumerate((KNN, LOGISTIC)):
        fit(path, head, tmp_path / str(number))
    assert set(read) == {"train"}


def test_the_record_says_what_was_done(features_path: Path, tmp_path: Path) -> None:
    record = fit(features_path, LOGISTIC, tmp_path, seed=7)
    with Features(features_path) as file:
        assert record["fingerprint"] == file.fingerprint
    assert record["head"] == "head.skops"
    assert record["type"] == "logistic"
    assert record["settings"] == {"C": 0.1}
    assert (record["layers"], record["view"], record["dimensions"]) == ("all", "mean", 10)
    assert record["seed"] == 7
    assert record["validation"] == {"accuracy": 1.0, "images": 18}
    assert record["training"] == {"images": 72}
    assert record["warnings"] == []
    assert all(record["seconds"][stage] > 0 for stage in ("search", "fit"))
    assert 1e7 < record["peak_memory_bytes"] < 1e11
    assert {"python", "numpy", "scikit-learn"} <= set(record["versions"])
    names = {"head.skops", "selection.csv", "validation.npz", "fit.json"}
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == names


def test_a_best_value_at_the_edge_is_told(features_path: Path, tmp_path: Path) -> None:
    head = HeadSpec("ridge", {"alpha": [3.0, 2.0, 1.0]})
    record = fit(features_path, head, tmp_path)
    assert record["warnings"] == ["the best alpha=3.0 lies on the edge of its grid: widen it"]


def test_a_head_that_does_not_converge_is_recorded_and_makes_no_noise(
    write: WriteFeatures,
    tmp_path: Path,
    recwarn: pytest.WarningsRecorder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("classifiers.solvers.penalised.EVALUATIONS", 5)
    path = write(train=np.arange(120) % 3, noise=6)
    head = HeadSpec("svm", {"C": [1e-6, 1e5]}, Choice("all", "identity"))
    fit(path, head, tmp_path)
    converged, not_converged = selection(tmp_path)
    assert converged["warnings"] == ""
    assert not_converged["warnings"].startswith("C=100000.0: not converged after")
    assert not recwarn.list


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (HeadSpec("forest", {}), "allowed: logistic, svm, ridge, lda,"),
        (
            HeadSpec("svm", {"c": 1}),
            "head svm: no setting 'c'; allowed: C",
        ),
        (
            HeadSpec("knn", {"k": 1}),
            "head knn: the setting 'metric' is miss",
        ),
        (
            HeadSpec("ridge", {"alpha": -1.0}),
            "head ridge with alpha=-1.0: ",
        ),
        (HeadSpec("knn", {"k": 99, "metric": "cosine"}), "k=99"),
        (
            HeadSpec("knn", {"k": 1, "metric": "l7"}),
            "cosine, euclidean",
        ),
        (HeadSpec("ridge", {"alpha": 1.0}, Choice("middle", "identity")), "no layer 'middle'"),
    ],
)
def test_an_impossible_head_is_told_and_leaves_nothing(
    features_path: Path, tmp_path: Path, head: HeadSpec, named: str
) -> None:
    with pytest.raises(UserError) as error:
        fit(features_path, head, tmp_path / "run")
    assert named in str(error.value)
    assert not (tmp_path / "run").exists()


def test_training_images_of_one_class_are_refused(write: WriteFeatures, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="all of one class"):
        fit(write(train=np.zeros(10, int), test=np.arange(9) % 3), LOGISTIC, tmp_path)


def test_a_grid_of_neighbours_is_cut_to_the_images_there_are(
    write: WriteFeatures, tmp_path: Path
) -> None:
    path = write(train=np.arange(20) % 2, test=np.arange(4) % 2, classes=["a", "b"])
    head = HeadSpec("knn", {"k": [50, 30, 5, 3], "metric": "cosine"})
    fit_head(path, head, tmp_path / "run", validation=0.2, seed=0)
    tried = [row["k"] for row in csv.DictReader((tmp_path / "run" / "selection.csv").open())]
    assert tried == ["5", "3"]

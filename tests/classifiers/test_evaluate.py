"""The one look at the test split."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.calibration import calibration_error, fit_temperature, logits, write_validation
from classifiers.data import Features
from classifiers.evaluate import evaluate_head
from classifiers.fit import fit_head
from classifiers.heads import class_scores, make_head
from classifiers.spec import Choice, HeadSpec
from classifiers.store import load_head
from features.errors import UserError

WriteFeatures = Callable[..., Path]

HEADS = {
    "logistic": {"C": 0.1},
    "svm": {"C": 0.1},
    "ridge": {"alpha": 1.0},
    "knn": {"k": 3, "metric": "euclidean"},
}


def run(path: Path, folder: Path, type: str = "logistic", layers: Any = "last") -> Path:
    """Fits and evaluates; gives the run's folder."""
    folder = folder / f"net_0.35.{type}.4"
    head = HeadSpec(type, HEADS[type], Choice(layers, "identity"))
    fit_head(path, head, folder, validation=0.2, seed=4)
    evaluate_head(path, folder)
    return folder


def read(folder: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return fields


@pytest.mark.parametrize("type", HEADS)
def test_the_figures_are_those_of_the_saved_head_on_the_test_split(
    type: str, write: WriteFeatures, tmp_path: Path
) -> None:
    path = write(train=np.arange(90) % 3, test=np.arange(40) % 3, noise=4)
    folder = run(path, tmp_path, type, ("late", "early"))
    with Features(path) as file:
        values, labels = (
            file.matrix("test", Choice(("late", "early"), "identity")),
            file.labels("test"),
        )
        ids = file.ids("test")
    predicted = load_head(folder / "head.skops").predict(values)
    metrics = read(folder)
    assert 0.4 < metrics["test"]["accuracy"] < 1, "the problem must be neither lost nor trivial"
    assert metrics["test"]["accuracy"] == np.mean(predicted == labels)
    assert np.array(metrics["confusion"]).sum() == metrics["test"]["images"] == 40
    gives_probabilities = type in ("logistic", "knn")
    assert (metrics["test"]["log_loss"] is not None) == gives_probabilities
    assert (metrics["test"]["calibration_error"] is not None) == gives_probabilities

    with np.load(folder / "predictions.npz", allow_pickle=False) as arrays:
        assert arrays["ids"].tolist() == ids
        assert np.array_equal(arrays["labels"], labels)
        assert np.array_equal(arrays["predicted"], predicted)
        assert np.array_equal(arrays["scores"].argmax(axis=1), predicted)
        assert (arrays["scores"].dtype, arrays["scores"].shape) == (np.float32, (40, 3))


def test_the_names_come_from_the_folder_and_the_rest_from_the_fit(
    features_path: Path, tmp_path: Path
) -> None:
    folder = run(features_path, tmp_path)
    metrics, fitted = read(folder), json.loads((folder / "fit.json").read_text())
    assert metrics["run"] == "net_0.35.logistic.4"
    assert (metrics["backbone"], metrics["head"], metrics["seed"]) == ("net_0.35", "logistic", 4)
    for name in ("type", "layers", "view", "dimensions", "settings", "validation", "warnings"):
        assert metrics[name] == fitted[name]
    assert metrics["classes"] == ["ant", "bee", "cow"]
    assert metrics["seconds"]["pass"] == 2.0
    assert set(metrics["seconds"]) == {"pass", "search", "fit", "predict"}
    assert metrics["head_bytes"] == (folder / "head.skops").stat().st_size


def test_a_head_of_other_features_is_refused(write: WriteFeatures, tmp_path: Path) -> None:
    labels = np.arange(30) % 3
    folder = run(write(train=labels, test=labels), tmp_path)
    (folder / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"fitted on features .* but .* holds"):
        evaluate_head(write(train=labels, test=labels, source="other"), folder)
    assert not (folder / "metrics.json").exists()


@pytest.mark.parametrize("type", HEADS)
def test_a_class_that_training_lacks_is_never_predicted(
    type: str, write: WriteFeatures, tmp_path: Path
) -> None:
    labels = np.array([0, 2] * 20)
    folder = run(write(train=labels, test=np.arange(30) % 3), tmp_path, type)
    metrics = read(folder)
    assert [row[1] for row in metrics["confusion"]] == [0, 0, 0]
    assert metrics["per_class"][1]["recall"] == 0
    assert metrics["test"]["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("type", HEADS)
def test_two_classes_score_as_two_columns(type: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 4)).astype(np.float32)
    labels = (values[:, 0] + 0.5 * rng.normal(size=50) > 0).astype(int)
    head = make_head(type, HEADS[type], 0).fit(values, labels)
    scores = class_scores(head, values, 2)
    assert scores.shape == (50, 2)
    assert np.array_equal(scores.argmax(axis=1), head.predict(values))


def test_a_run_without_fit_is_told(features_path: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"fit\.json: cannot be read"):
        evaluate_head(features_path, tmp_path)


def validated(path: Path, folder: Path, type: str) -> tuple[np.ndarray, np.ndarray]:
    """Keeps what a head fitted on the first half of the training rows says of the second."""
    with Features(path) as file:
        values, labels = file.matrix("train", Choice("last", "identity")), file.labels("train")
        ids, classes = file.ids("train"), len(file.classes)
    half = len(labels) // 2
    head = make_head(type, HEADS[type], 4).fit(values[:half], labels[:half])
    scores = class_scores(head, values[half:], classes)
    write_validation(folder, ids[half:], labels[half:], scores)
    return labels[half:], scores


@pytest.mark.parametrize("type", HEADS)
def test_a_temperature_fitted_on_validation_is_applied_and_changes_no_prediction(
    type: str, write: WriteFeatures, tmp_path: Path
) -> None:
    path = write(train=np.arange(240) % 3, test=np.arange(90) % 3, noise=4)
    folder = run(path, tmp_path, type)
    (folder / "validation.npz").unlink()
    evaluate_head(path, folder)
    without = read(folder)
    assert without["calibration"] is None
    labels, scores = validated(path, folder, type)
    evaluate_head(path, folder)
    metrics = read(folder)
    calibration = metrics.pop("calibration")
    gives_probabilities = type in ("logistic", "knn")
    assert calibration["temperature"] == pytest.approx(
        fit_temperature(logits(scores, probabilities=gives_probabilities), labels)
    )
    assert calibration["validation_images"] == 120
    assert calibration["log_loss_low"] < calibration["log_loss"] < calibration["log_loss_high"]
    assert sum(place["images"] for place in calibration["reliability"]) == 90
    assert (metrics["reliability"] is not None) == gives_probabilities
    for same in ("test", "per_class", "confusion", "reliability"):
        assert metrics[same] == without[same]
    if gives_probabilities:
        with np.load(folder / "predictions.npz") as kept:
            before = calibration_error(kept["labels"], kept["scores"])
        assert metrics["test"]["calibration_error"] == pytest.approx(before)


def test_a_further_test_set_is_judged_beside_the_main_one(
    write: WriteFeatures, tmp_path: Path
) -> None:
    """Its classes may stand in another order, and be fewer."""
    labels = np.arange(90) % 3
    main = write(train=labels, test=labels, noise=4)
    folder = run(main, tmp_path)
    before = (folder / "metrics.json").read_bytes()
    with Features(main) as opened:
        arrays = {
            (view, layer): opened.matrix("test", Choice(layer, view))[labels != 1]
            for view in ("identity", "mirror")
            for layer in ("early", "late")
        }
    renamed = np.where(labels == 2, 0, 1)[labels != 1]
    further = write(
        test=renamed,
        classes=["cow", "ant"],
        noise=4,
        replaced={"test": arrays},
        source="shifted",
    )
    evaluate_head(further, folder, further="shifted")
    assert (folder / "metrics.json").read_bytes() == before
    other = json.loads((folder / "metrics.shifted.json").read_text())
    assert (other["split"], other["run"]) == ("shifted", "net_0.35.logistic.4")
    assert other["classes"] == ["ant", "bee", "cow"]
    with np.load(folder / "predictions.shifted.npz") as kept:
        assert np.array_equal(kept["labels"], labels[labels != 1])
        shifted = kept["predicted"]
    with np.load(folder / "predictions.npz") as kept:
        assert np.array_equal(shifted, kept["predicted"][labels != 1])


def test_a_further_test_set_by_another_backbone_or_of_other_classes_is_refused(
    write: WriteFeatures, tmp_path: Path
) -> None:
    labels = np.arange(30) % 3
    folder = run(write(train=labels, test=labels), tmp_path)
    with pytest.raises(UserError, match="fitted on features"):
        evaluate_head(write(test=labels, source="far", noise=9), folder, further="far")
    other = write(test=labels, source="zoo", classes=["ant", "bee", "dog"])
    with pytest.raises(UserError, match=r"knows no class 'dog'; .*ant, bee, cow"):
        evaluate_head(other, folder, further="zoo")
    assert not (folder / "metrics.far.json").exists()

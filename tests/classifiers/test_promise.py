"""What frozen features say of fine-tuning beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from classifiers.promise import hint, log_evidence, write_promise
from classifiers.store import read_json

from .conftest import WriteFeatures


def evidence_by_search(X: np.ndarray, labels: np.ndarray) -> float:
    """The same from its definition: the density of each class under its Gaussian, maximised."""
    found = []
    for label in np.unique(labels):
        y = (labels == label).astype(float)

        def negative(logs: np.ndarray, y: np.ndarray = y) -> float:
            alpha, beta = np.exp(logs)
            covariance = X @ X.T / alpha + np.eye(len(y)) / beta
            _, determinant = np.linalg.slogdet(covariance)
            quadratic = y @ np.linalg.solve(covariance, y)
            return 0.5 * float(quadratic + determinant + len(y) * np.log(2 * np.pi))

        starts = [np.array([a, b]) for a in (0.0, 3.0) for b in (0.0, 3.0)]
        found.append(-min(minimize(negative, start).fun for start in starts) / len(y))
    return float(np.mean(found))


@pytest.mark.parametrize("dimensions", [5, 60])
def test_it_is_the_greatest_evidence_of_a_linear_function(dimensions: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 40)
    X = rng.normal(size=(40, dimensions)).astype(np.float32)
    X[:, :3] += 2 * np.eye(3)[labels]
    assert log_evidence(X, labels) == pytest.approx(
        evidence_by_search(X.astype(np.float64), labels), abs=0.01
    )


def test_features_that_tell_the_classes_apart_have_more_of_it() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 500)
    noise = rng.normal(size=(500, 20)).astype(np.float32)
    values = [
        log_evidence(noise + strength * np.eye(4, 20, dtype=np.float32)[labels], labels)
        for strength in (0.0, 1.0, 4.0)
    ]
    assert values == sorted(values)


def test_a_constant_and_a_repeated_column_change_nothing_to_speak_of() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 300)
    X = rng.normal(size=(300, 6)).astype(np.float32) + np.eye(3, 6, dtype=np.float32)[labels]
    odd = np.concatenate([X, X[:, :1], np.zeros((300, 1), np.float32)], axis=1)
    assert log_evidence(odd, labels) == pytest.approx(log_evidence(X, labels), abs=0.02)


def test_only_training_images_are_read(write: WriteFeatures, tmp_path: Path) -> None:
    labels = np.arange(60) % 3
    file = write(train=labels, test=labels)
    write_promise([file], tmp_path / "promise.json")
    written = read_json(tmp_path / "promise.json")
    (one,) = written["backbones"]
    assert one["features"] == file.stem and one["all"] >= one["last"] - 0.05
    assert "hint" in written["hint"]


def test_the_backbone_to_begin_with_is_named() -> None:
    found = [
        {"features": "ResNet50", "last": 0.4, "all": 0.6},
        {"features": "VGG16", "last": 0.2, "all": 0.2},
    ]
    said = hint(found)
    assert "ResNet50 is the backbone to train further first" in said and "0.400 to 0.600" in said

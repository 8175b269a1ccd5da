"""Small real passes, and runs on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from classifiers.calibration import fit_temperature, logits, read_validation, tempered
from classifiers.evaluate import evaluate_head
from classifiers.fit import fit_head
from classifiers.mount import trunks
from classifiers.spec import Choice, HeadSpec
from classifiers.store import read_json
from features.backbones.spec import BackboneSpec
from features.datasets import DatasetSpec, identify, prepare
from features.engines.graph import build
from features.extract import extract
from features.files import fingerprint
from features.spec import feature_spec

from ...features.conftest import BACKBONE

SIZE = (16, 12)
"""Height and width of the images."""

EMBEDDED = replace(BACKBONE, dtype="float32")
HALF = replace(EMBEDDED, dtype="float16")
MOBILENET = replace(
    EMBEDDED,
    architecture="MobileNetV2",
    alpha=0.35,
    size=(96, 96),
    weights="random",
    interpolation="bicubic",
    resize="crop",
)

SETTINGS: dict[str, dict[str, Any]] = {
    "logistic": {"C": 0.01},
    "lda": {"shrinkage": 0.1},
    "svm": {"C": 0.001},
    "ridge": {"alpha": 100.0},
    "nearest_mean": {"metric": "cosine"},
    "knn": {"k": 5, "metric": "cosine"},
    "dense": {
        "hidden": [],
        "dropout": 0.0,
        "stack": [{"dense": 16}, {"batch_normalization": {}}, {"dropout": 0.2}],
        "optimizer": "adam",
        "learning_rate": 0.003,
        "schedule": "constant",
        "label_smoothing": 0.0,
        "epochs": 1,
        "batch_size": 32,
        "monitor": None,
        "patience": None,
        "standardise": True,
    },
}


def digits(classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 (images, 16, 12, 3), not the same from left and right; and labels."""
    found = load_digits()
    large = np.kron(found.images, np.ones((2, 2)))[:, :, 2:14] * 15
    images = np.stack([large, large * 0.5, 255 - large], axis=-1).astype(np.uint8)
    few = found.target < classes
    return images[few], found.target[few]


@dataclass(frozen=True)
class Data:
    """Images in a file, prepared.

    Attributes:
        folder: Where all of it is.
        test: The test images, uint8.
    """

    folder: Path
    test: np.ndarray
    dataset: DatasetSpec

    def run(
        self, backbone: BackboneSpec, weights: Path | None = None, engine: str = "tensorflow"
    ) -> Path:
        """The features by a backbone; a pass that was made is made once."""
        spec = feature_spec(self.dataset, backbone)
        output = self.folder / f"{backbone.architecture}-{fingerprint(spec)[:8]}.h5"
        extract(
            self.folder / "data.h5",
            self.folder / "images.npz",
            spec,
            weights,
            output,
            self.folder / "graphs",
            engine=engine,
        )
        return output

    def fit(self, features: list[Path], head: str, choice: Choice, **settings: Any) -> Path:
        """A run, fitted and evaluated."""
        spec = HeadSpec(head, SETTINGS[head] | settings, choice)
        key = fingerprint({"f": [f.name for f in features], "c": str(spec)})[:8]
        directory = self.folder / f"net{key}.{head}.0"
        fit_head(features, spec, directory, validation=0.3, seed=0)
        evaluate_head(features, directory)
        return directory


def prepared(folder: Path, train: int, test: int, classes: int = 10) -> Data:
    """Digits as a data set."""
    images, labels = digits(classes)
    folder.mkdir()
    path = folder / "images.npz"
    train_rows, test_rows = np.arange(train), np.arange(train, train + test)
    np.savez(
        path,
        x_train=images[train_rows],
        y_train=labels[train_rows],
        x_test=images[test_rows],
        y_test=labels[test_rows],
    )
    dataset = DatasetSpec(
        source="npz", content=identify("npz", path, folder / "memo.json"), test=0.2, seed=0
    )
    prepare(dataset, path, folder / "data.h5")
    return Data(folder, images[test_rows], dataset)


def expected(directory: Path) -> np.ndarray:
    """The probabilities of a run on the cached features of the test images."""
    with np.load(directory / "predictions.npz") as kept:
        scores: np.ndarray = kept["scores"]
    if read_json(directory / "fit.json")["probabilities"]:
        return scores
    held = read_validation(directory)
    assert held is not None
    return tempered(scores, fit_temperature(logits(held[1], probabilities=False), held[0]))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where data sets lie beside the converted graphs, each of which is made once."""
    return tmp_path_factory.mktemp("mounted")


@pytest.fixture(scope="session")
def data(folder: Path) -> Data:
    """Images of all ten digits, their features made by the engine that a study would take."""
    data = prepared(folder / "ten", train=160, test=40)
    for backbone in (EMBEDDED, HALF):
        data.run(backbone, engine="auto")
    return data


@pytest.fixture
def built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds each backbone once for many tests, none of which may train it."""
    monkeypatch.setattr(trunks, "build", _build)


_build = cache(build)

"""The features that benchmarks of heads are fitted on."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classifiers.data import Features
from classifiers.spec import Choice
from features.backbones.spec import BackboneSpec
from features.datasets import DatasetSpec, identify, prepare
from features.datasets.hashing import hash_large_file
from features.extract import extract
from features.files import fingerprint
from features.spec import feature_spec

HELD = 10_000


@dataclass(frozen=True)
class Data:
    """Features to fit on, as they come and standardised for the peers, and others to predict.

    Attributes:
        name: "real" or "made".
        X: float32 (rows, width).
        y: int64 (rows,).
        Z: `X` standardised.
        held: float32 (10,000, width), of the test split.
        held_Z: `held`, standardised by the statistics of `X`.
        truth: int64 (10,000,).
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    Z: np.ndarray
    held: np.ndarray
    held_Z: np.ndarray
    truth: np.ndarray

    @property
    def shape(self) -> str:
        """As it is printed."""
        return f"{len(self.X):,} x {self.X.shape[1]} {self.name}"


def data_of(rows: int, width: int) -> Data:
    """Features of CIFAR-10 where its images and the weights are at hand, and made ones where not.

    Of 1,280 dimensions or less they are those of the last layer; of more, of all stages joined and
    the mean of an image and its mirror image.
    """
    path = real_features()
    if path is None:
        name, (X, y), (held, truth) = "made", made(rows, width), made(HELD, width, seed=1)
    else:
        with Features(path) as file:
            seen = Choice("last", "identity") if width <= 1280 else Choice("all", "mean")
            X, y = file.matrix("train", seen), file.labels("train")
            held, truth = file.matrix("test", seen)[:, :width], file.labels("test")
        order = np.random.default_rng(0).permutation(len(X))[:rows]
        name, X, y = "real", np.ascontiguousarray(X[order, :width]), y[order]
    mean, deviation = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    mean, scale = mean.astype(np.float32), np.where(deviation > 0, deviation, 1).astype(np.float32)
    held = np.ascontiguousarray(held)
    return Data(name, X, y, (X - mean) / scale, held, (held - mean) / scale, truth)


def real_features() -> Path | None:
    """The features of CIFAR-10 by MobileNetV2 0.35 at 96, of an image and its mirror image.

    Returns:
        The features file, made by one pass and kept in the temporary folder; None where
        HEADSTART_REAL_DATA does not name the folder with images and weights.
    """
    data = os.environ.get("HEADSTART_REAL_DATA")
    if not data:
        return None
    images = Path(data) / "cifar10-jpeg.tar.gz"
    weights = Path(data) / "mobilenet_v2_0.35_224_no_top.weights.h5"
    folder = Path(tempfile.gettempdir()) / "headstart-benchmark-features"
    folder.mkdir(exist_ok=True)
    memo = folder / "memo.json"
    dataset = DatasetSpec("folder", identify("folder", images, memo), test=0.2, seed=0)
    backbone = BackboneSpec(
        architecture="MobileNetV2",
        alpha=0.35,
        size=(96, 96),
        resize="stretch",
        interpolation="bilinear",
        preprocessing="tf",
        weights=hash_large_file(weights),
        views=("identity", "mirror"),
    )
    spec = feature_spec(dataset, backbone)
    output = folder / f"mobilenet-{fingerprint(spec)[:8]}.h5"
    if not output.exists():
        prepare(dataset, images, folder / "images.h5")
        extract(folder / "images.h5", images, spec, weights, output, folder / "graphs")
    return output


def made(rows: int, width: int, seed: int = 0, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Rectified mixtures of factors of decaying strength, of which few tell the class.

    Returns:
        Features, float32 (rows, width), and labels, int64 (rows,). Another seed draws other rows of
        the same kind.
    """
    factors, telling = 256, 64
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    mix = fixed.standard_normal((factors, width), dtype=np.float32)
    mix *= np.arange(1, factors + 1, dtype=np.float32)[:, None] ** -0.5
    centres = fixed.normal(0, 0.35, (classes, telling)).astype(np.float32)
    y = rng.integers(0, classes, rows)
    X = rng.standard_normal((rows, factors), dtype=np.float32)
    X[:, :telling] += centres[y]
    X = X @ mix + rng.standard_normal((rows, width), dtype=np.float32)
    return np.clip(X - 0.5, 0, 6), y

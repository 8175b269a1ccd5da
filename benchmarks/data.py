"""The features that benchmarks of heads are fitted on."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np

from features.backbones.spec import BackboneSpec
from features.datasets import DatasetSpec, identify, prepare
from features.datasets.hashing import hash_large_file
from features.extract import extract
from features.files import fingerprint
from features.spec import feature_spec


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

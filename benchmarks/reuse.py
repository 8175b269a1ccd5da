"""Seconds to train heads on cached features, against training them on the live frozen network.

The peer is what tutorials do: the frozen backbone stands in the model, so that every epoch of every
head pushes every image through it again. Heads are dense, as theirs are, with the same optimiser,
batch and epochs on both sides; ours are fitted twice, once to be judged on validation and once on
all. Images and weights are made up: neither changes the seconds.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from table import Row, arguments, compare, show

from classifiers.fit import fit_head
from classifiers.spec import HeadSpec
from features.backbones.build import build_backbone
from features.backbones.pooled import preprocess
from features.backbones.registry import ARCHITECTURES
from features.backbones.spec import BackboneSpec
from features.datasets import DatasetSpec, identify, prepare
from features.extract import extract
from features.files import fingerprint
from features.spec import feature_spec

WIDTHS = (64, 128, 256)
BATCH = 128


def backbone_spec(architecture: str, side: int, alpha: float) -> BackboneSpec:
    """A backbone with random weights on one view of each image."""
    return BackboneSpec(
        architecture=architecture,
        alpha=alpha,
        size=(side, side),
        resize="stretch",
        interpolation="bilinear",
        preprocessing=ARCHITECTURES[architecture].preprocessing,
        weights="random",
        views=("identity",),
    )


def live(images: np.ndarray, labels: np.ndarray, spec: BackboneSpec, epochs: int) -> float:
    """Trains every head on the live frozen backbone; gives the seconds."""
    start = time.perf_counter()
    for width in WIDTHS:
        backbone = build_backbone(spec, None)
        inputs = keras.Input(images.shape[1:])
        x = backbone(
            preprocess(keras.layers.Resizing(*spec.size)(inputs), spec.preprocessing),
            training=False,
        )
        x = keras.layers.GlobalAveragePooling2D()(x)
        x = keras.layers.Dense(width, activation="relu")(x)
        model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(images, labels, batch_size=BATCH, epochs=epochs, verbose=0)
    return time.perf_counter() - start


def cached(folder: Path, file: Path, spec: BackboneSpec, epochs: int) -> tuple[float, float]:
    """Runs the pass, then trains every head on the features; gives the seconds of both."""
    content = identify("npz", file, folder / "memo.json")
    dataset = DatasetSpec("npz", content, test=0.2, seed=0)
    start = time.perf_counter()
    prepare(dataset, file, folder / "images.h5")
    fields = feature_spec(dataset, spec)
    features = folder / f"features-{fingerprint(fields)[:8]}.h5"
    extract(folder / "images.h5", file, fields, None, features, folder / "graphs")
    passed = time.perf_counter()
    settings = {
        "dropout": 0.0,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "epochs": epochs,
        "batch_size": BATCH,
    }
    for width in WIDTHS:
        head = HeadSpec("dense", "last", "identity", settings | {"hidden": [width]})
        fit_head(features, head, folder / str(width), validation=0.1, seed=0)
    return passed - start, time.perf_counter() - passed


def measure(
    architecture: str, side: int, alpha: float, images: int, epochs: int, repeats: int
) -> list[Row]:
    """Both sides in turn, `repeats` times."""
    spec = backbone_spec(architecture, side, alpha)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, images)
    theirs, from_nothing, from_cache = [], [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as name:
            file = Path(name) / "images.npz"
            np.savez(
                file,
                x_train=pixels,
                y_train=labels,
                x_test=pixels[:100],
                y_test=np.arange(100) % 10,
            )
            passing, heads = cached(Path(name), file, spec, epochs)
        from_nothing.append(passing + heads)
        from_cache.append(heads)
        theirs.append(live(pixels, labels, spec, epochs))
    width = f" {alpha}" if alpha != 1 else ""
    case = f"{len(WIDTHS)} heads, {epochs} epochs, {images:,} images, {architecture}{width} @{side}"
    peer = "keras fit on the live network"
    return [
        compare(f"{case}, from nothing", from_nothing, peer, theirs),
        compare(f"{case}, features there", from_cache, peer, theirs),
    ]


def main() -> None:
    """Measures and shows."""
    options = arguments(str(__doc__).splitlines()[0])
    if options.quick:
        rows = measure("MobileNetV2", 96, 0.35, images=1000, epochs=5, repeats=1)
    else:
        rows = measure("MobileNetV2", 96, 0.35, images=5000, epochs=10, repeats=3)
        rows += measure("ResNet50", 64, 1.0, images=2000, epochs=10, repeats=3)
    show(rows, options.json)


if __name__ == "__main__":
    main()

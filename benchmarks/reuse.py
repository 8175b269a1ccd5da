"""Seconds to train and compare six heads on cached features, against the live frozen network.

The peer is what tutorials do: the frozen backbone stands in the model, so that `fit` pushes every
image through it in every epoch of every head, validates after each epoch, and `evaluate` judges the
test images at the end. It runs at the quicker of two batch sizes, and its seconds are scaled: those
of an image in a step, measured in one epoch of each head on `SAMPLE` images, times all images and
epochs. Left out are the first step, which traces the graph, and what `fit` does between steps.

Headstart chooses on validation, fits again on train and validation, evaluates and compares, on all
images: from nothing, with the conversion of the network and the pass, and with the features there.
It trains dense heads of the same layers, optimiser and epochs. Of one layer the peer trains softmax
with cross-entropy, squared hinge and squared error, for which Headstart has logistic regression,
the linear SVM and ridge. Neither side's seconds hold the import of Keras. Images and weights are
made up, which changes the seconds of no step; only the solvers of logistic regression and SVM take
more or fewer of them on other features.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from contestants import spec_of
from table import Row, arguments, compare, show

from classifiers.compare import leaderboard
from classifiers.evaluate import evaluate_head
from classifiers.fit import fit_head
from classifiers.heads import DEFAULTS
from classifiers.significance import compare_runs
from classifiers.spec import HeadSpec
from features.backbones.build import build_backbone
from features.backbones.pooled import preprocess
from features.backbones.spec import BackboneSpec
from features.datasets import DatasetSpec, identify, prepare
from features.extract import extract
from features.files import fingerprint
from features.spec import feature_spec

LINEAR = {
    "logistic": (HeadSpec("logistic", {"C": 0.001}), "softmax", "categorical_crossentropy"),
    "svm": (HeadSpec("svm", {"C": 0.0003}), "linear", "squared_hinge"),
    "ridge": (HeadSpec("ridge", {"alpha": 1000.0}), "linear", "mean_squared_error"),
}
"""Ours, and the activation and the loss of the peer's layer."""

DENSE = {"dense_64": (64, 0.0), "dense_128": (128, 0.0), "dropout_256": (256, 0.5)}
"""The width of the hidden layer, and the dropout behind it."""

HEADS = (*LINEAR, *DENSE)
EPOCHS = 10
CLASSES = 10
RATE = 1e-3
VALIDATION = 0.1
BATCHES = (32, 128)
"""Tried by the peer; ours takes the last."""

SAMPLE = 1280
"""Images that the peer is measured on: `HELD` of them to validate on, and as many more to test."""
HELD = 256


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Takes the seconds of the steps of `fit` and `evaluate`."""

    def __init__(self) -> None:
        """Has seen none."""
        super().__init__()
        self.training: list[float] = []
        self.evaluating: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Starts it."""
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Stops it."""
        self.training.append(time.perf_counter() - self.start)

    def on_test_batch_begin(self, batch: int, logs: object = None) -> None:
        """Starts it."""
        self.start = time.perf_counter()

    def on_test_batch_end(self, batch: int, logs: object = None) -> None:
        """Stops it."""
        self.evaluating.append(time.perf_counter() - self.start)


def live_model(spec: BackboneSpec, image: tuple[int, ...], head: str) -> keras.Model:
    """A head on the live backbone, whose layers are frozen: no gradient is computed through it."""
    _, activation, loss = LINEAR.get(head, LINEAR["logistic"])
    backbone = build_backbone(spec, None)
    inputs = keras.Input(image)
    x = preprocess(keras.layers.Resizing(*spec.size)(inputs), spec.preprocessing)
    x = keras.layers.GlobalAveragePooling2D()(backbone(x, training=False))
    if head in DENSE:
        width, dropout = DENSE[head]
        x = keras.layers.Dense(width, activation="relu")(x)
        if dropout:
            x = keras.layers.Dropout(dropout)(x)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation=activation)(x))
    # It has Keras choose whether to compile by XLA, which it does not for the resize. Forced to, it
    # took seven times as long or more on a CPU.
    model.compile(keras.optimizers.Adam(RATE), loss, metrics=["categorical_accuracy"])
    return model


def live(
    pixels: np.ndarray, labels: np.ndarray, spec: BackboneSpec, head: str, batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Trains a head on the live network for an epoch of the sample, and evaluates it.

    Returns:
        The seconds an image to train on it and to evaluate it, of each step but the first.
    """
    labels = keras.utils.to_categorical(labels[: SAMPLE + HELD], CLASSES)
    training = slice(SAMPLE - HELD)
    held, test = slice(SAMPLE - HELD, SAMPLE), slice(SAMPLE, SAMPLE + HELD)
    model, clock = live_model(spec, pixels.shape[1:], head), Clock()
    model.fit(
        pixels[training],
        labels[training],
        batch_size=batch,
        validation_data=(pixels[held], labels[held]),
        callbacks=[clock],
        verbose=0,
    )
    model.evaluate(pixels[test], labels[test], batch_size=batch, callbacks=[clock], verbose=0)
    return np.array(clock.training[1:]) / batch, np.array(clock.evaluating[1:]) / batch


def live_scaled(
    pixels: np.ndarray, labels: np.ndarray, spec: BackboneSpec, batch: int, images: tuple[int, int]
) -> float:
    """The seconds of all heads on the live network, scaled to so many images, and test images."""
    count, test = images
    seconds = 0.0
    for head in HEADS:
        steps = live(pixels, labels, spec, head, batch)
        trained, evaluated = (float(np.median(seconds)) for seconds in steps)
        epoch = count * ((1 - VALIDATION) * trained + VALIDATION * evaluated)
        seconds += EPOCHS * epoch + test * evaluated
    return seconds


def head_spec(name: str) -> HeadSpec:
    """A head as a study would ask for it: single values, since the peer has no grid either."""
    if name in LINEAR:
        return LINEAR[name][0]
    width, dropout = DENSE[name]
    own = {"hidden": [width], "dropout": dropout, "learning_rate": RATE, "epochs": EPOCHS}
    return HeadSpec("dense", DEFAULTS["dense"] | own | {"batch_size": BATCHES[-1]})


def cached(folder: Path, file: Path, spec: BackboneSpec) -> tuple[float, float]:
    """Runs the pass, then trains and compares all heads on the features; gives both's seconds."""
    start = time.perf_counter()
    dataset = DatasetSpec("npz", identify("npz", file, folder / "memo.json"), test=0.2, seed=0)
    prepare(dataset, file, folder / "images.h5")
    fields = feature_spec(dataset, spec)
    features = folder / f"features-{fingerprint(fields)[:8]}.h5"
    extract(folder / "images.h5", file, fields, None, features, folder / "graphs")
    passed = time.perf_counter()
    metrics = []
    for name in HEADS:
        run = folder / f"{spec.architecture}.{name}.0"
        fit_head(features, head_spec(name), run, validation=VALIDATION, seed=0)
        evaluate_head(features, run)
        metrics.append(run / "metrics.json")
    leaderboard(metrics, folder / "leaderboard.csv")
    compare_runs(metrics, folder / "comparison.json")
    return passed - start, time.perf_counter() - passed


def measure(architecture: str, size: int, alpha: float, images: int, repeats: int) -> list[Row]:
    """Both sides in turn, `repeats` times, on images and a fifth as many to test on."""
    spec = spec_of({"architecture": architecture, "alpha": alpha, "size": size}, "fast")
    rng = np.random.default_rng(0)
    test = images // 5
    pixels = rng.integers(0, 256, (images + test, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(images + test) % CLASSES
    # By its best step, for whatever else the machine does must not choose.
    quickest = min(BATCHES, key=lambda size: live(pixels, labels, spec, "logistic", size)[0].min())
    theirs, from_nothing, from_cache = [], [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as name:
            file = Path(name) / "images.npz"
            np.savez(
                file,
                x_train=pixels[:images],
                y_train=labels[:images],
                x_test=pixels[images:],
                y_test=labels[images:],
            )
            passing, heads = cached(Path(name), file, spec)
        from_nothing.append(passing + heads)
        from_cache.append(heads)
        theirs.append(live_scaled(pixels, labels, spec, quickest, (images, test)))
    width = f" {alpha:g}" if alpha != 1 else ""
    case = f"{len(HEADS)} heads, {EPOCHS} epochs, {images:,} images, {architecture}{width} @{size}"
    peer = (
        f"keras fit on the live network, batches of {quickest}, "
        f"scaled from an epoch of {SAMPLE:,} images"
    )
    return [
        compare(f"{case}, from nothing", from_nothing, peer, theirs),
        compare(f"{case}, features there", from_cache, peer, theirs),
    ]


def main() -> None:
    """Measures and shows."""
    options = arguments(str(__doc__).splitlines()[0])
    if options.quick:
        rows = measure("MobileNetV2", 96, 0.35, images=SAMPLE, repeats=1)
    else:
        rows = measure("ResNet50", 64, 1.0, images=50_000, repeats=2)
        rows += measure("MobileNetV2", 96, 0.35, images=50_000, repeats=2)
    show(rows, options.json)


if __name__ == "__main__":
    main()

"""Seconds of an epoch of the dense head, against Keras' own `fit` on numpy arrays.

All sides train the same network (dense 256, dropout 0.5, 10 classes) with Adam in batches of 128 on
the same rows, made up and standardised beforehand; `fit` counts no accuracy, ours does. Keras
compiles its step by XLA where it can, whether or not that is faster; so `fit` without XLA runs
beside, and with 32 steps a call.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from table import Row, compare

from classifiers.network.epochs import cross_entropy, steps_of

CLASSES = 10
BATCH = 128
FITS = {
    "keras fit": {},
    "keras fit, no XLA": {"jit_compile": False},
    "keras fit, no XLA, 32 steps a call": {"jit_compile": False, "steps_per_execution": 32},
}


def network(width: int) -> keras.Model:
    """The head's network, to train."""
    inputs = keras.Input((width,))
    outputs = keras.layers.Dense(256, activation="relu")(inputs)
    outputs = keras.layers.Dropout(0.5)(outputs)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(outputs))


def our_epoch(values: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    """What runs one epoch of ours and gives its seconds."""
    loss = cross_entropy(CLASSES, 0.0)
    run = steps_of(network(values.shape[1]), keras.optimizers.Adam(3e-4), loss, BATCH)
    generator = np.random.default_rng(0)
    rates = np.full(-(-len(values) // BATCH), 3e-4, np.float32)
    targets, rows = labels.astype(np.int32), keras.ops.convert_to_tensor(values)

    def epoch() -> float:
        start = time.perf_counter()
        run(rows, targets, generator.permutation(len(values)).astype(np.int32), rates)
        return time.perf_counter() - start

    return epoch


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Takes the seconds of an epoch, without what `fit` does before and after."""

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Starts it."""
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Stops it."""
        self.seconds = time.perf_counter() - self.start


def fit_epoch(values: np.ndarray, labels: np.ndarray, **how: object) -> Callable[[], float]:
    """What runs one epoch of `fit` and gives its seconds."""
    model = network(values.shape[1])
    model.compile(
        optimizer=keras.optimizers.Adam(3e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **how,
    )
    clock = Clock()

    def epoch() -> float:
        model.fit(values, labels, batch_size=BATCH, epochs=1, verbose=0, callbacks=[clock])
        return clock.seconds

    return epoch


def dense_epoch(rows: int, width: int, repeats: int) -> list[Row]:
    """All sides in turn, `repeats` times, after an epoch of each that is not counted."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(rows, width)).astype(np.float32)
    labels = generator.integers(0, CLASSES, rows)
    ours = our_epoch(values, labels)
    theirs = {name: fit_epoch(values, labels, **how) for name, how in FITS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ("ours", *theirs)}
    for repeat in range(repeats + 1):
        for name, epoch in {"ours": ours, **theirs}.items():
            took = epoch()
            if repeat:
                seconds[name].append(took)
    case = f"dense epoch, {rows:,} x {width:,}"
    return [compare(case, seconds["ours"], name, seconds[name]) for name in theirs]


def measured(quick: bool) -> list[Row]:
    """All cases."""
    rows, repeats = (10_000, 3) if quick else (50_000, 5)
    return [row for width in (1280, 2048) for row in dense_epoch(rows, width, repeats)]

"""Epochs inside the graph train as Keras' own loop does."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from classifiers.network import stack as stacks
from classifiers.network.epochs import cross_entropy, evaluated, steps_by_fit, steps_in_graph

ROWS, WIDTH, CLASSES, BATCH = 50, 7, 3, 16
RATES = np.linspace(0.02, 0.01, 4, dtype=np.float32)
STACK = [{"dense": 5, "l2": 0.01, "l1": 0.001}, "batch_normalization", {"dense": 4}]


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(ROWS, WIDTH)).astype(np.float32)
    order = rng.permutation(ROWS).astype(np.int32)
    return values, rng.integers(0, CLASSES, ROWS).astype(np.int32), order


def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((WIDTH,))
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(stacks.apply(STACK, inputs)))


@pytest.mark.parametrize(
    ("name", "smoothing"), [("adam", 0.2), ("adamw", 0.0), ("sgd", 0.0), ("rmsprop", 0.0)]
)
def test_the_steps_are_those_of_train_on_batch(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray], name: str, smoothing: float
) -> None:
    values, targets, order = rows
    loss = cross_entropy(CLASSES, smoothing)
    ours, theirs = network(), network()
    run = steps_in_graph(ours, keras.optimizers.get(name), loss, BATCH)
    theirs.compile(optimizer=name, loss=loss, metrics=["accuracy"])
    for _ in range(2):
        total, right = run(values, targets, order, RATES)
        cost, hits = 0.0, 0
        for number, start in enumerate(range(0, ROWS, BATCH)):
            chosen = order[start : start + BATCH]
            theirs.optimizer.learning_rate = RATES[number]
            theirs.reset_metrics()
            said: Any = theirs.train_on_batch(values[chosen], targets[chosen], return_dict=True)
            cost += said["loss"] * len(chosen)
            hits += round(said["accuracy"] * len(chosen))
        assert total == pytest.approx(cost, rel=1e-5)
        assert right == hits
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert mine == pytest.approx(other, abs=2e-5)


def test_where_there_is_no_tensorflow_fit_takes_the_same_steps(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    values, targets, order = rows
    loss = cross_entropy(CLASSES, 0.0)
    ours, theirs = network(), network()
    graph = steps_in_graph(ours, keras.optimizers.Adam(), loss, BATCH)
    fit = steps_by_fit(theirs, keras.optimizers.Adam(), loss, BATCH)
    for _ in range(2):
        total, right = graph(values, targets, order, RATES)
        assert fit(values, targets, order, RATES) == (pytest.approx(total, rel=1e-5), right)


def test_a_network_is_judged_by_log_loss_and_what_it_does_not_know_is_wrong(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    from sklearn.metrics import log_loss

    values, targets, _ = rows
    model = network()
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(model(values))).astype(float)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    right = (probabilities.argmax(axis=1) == targets).mean()

    def parts() -> tuple[np.ndarray, ...]:
        return values[:20], values[20:]

    assert evaluated(model, parts, targets) == pytest.approx(
        (log_loss(targets, probabilities, labels=range(CLASSES)), right), rel=1e-5
    )
    foreign = np.where(np.arange(ROWS) < 10, -1, targets).astype(np.int32)
    loss, accuracy = evaluated(model, parts, foreign)
    known = log_loss(targets[10:], probabilities[10:], labels=range(CLASSES))
    assert loss == pytest.approx(known, rel=1e-5)
    assert accuracy == (probabilities.argmax(axis=1)[10:] == targets[10:]).sum() / ROWS

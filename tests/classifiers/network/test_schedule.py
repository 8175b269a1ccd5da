"""The learning rate over the epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from classifiers.network.schedule import parsed, rates, reduced
from features.errors import UserError


def test_constant_is_constant() -> None:
    assert np.all(rates("constant", 0.5, 3, 4) == 0.5)
    assert rates("constant", 0.5, 3, 4).shape == (3, 4)


def test_cosine_warms_up_and_ends_at_nothing() -> None:
    line = rates({"cosine": {"warmup": 2}}, 0.1, 10, 5).ravel()
    assert line[:10] == pytest.approx(0.1 * np.arange(1, 11) / 10)
    assert np.all(np.diff(line[10:]) < 0)
    assert line[30] == pytest.approx(0.05), "half of it half-way down"
    assert 0 < line[-1] < 0.001
    assert rates({"cosine": {"warmup": 0}}, 0.1, 10, 5)[0, 0] == pytest.approx(0.1)
    assert np.isfinite(rates("cosine", 0.1, 1, 1)).all()


def test_exponential_falls_by_its_rate_each_epoch() -> None:
    line = rates({"exponential": {"rate": 0.5}}, 1.0, 4, 3)
    assert line[:, 0] == pytest.approx([1, 0.5, 0.25, 0.125])
    assert np.all(np.diff(line.ravel()) < 0)


@pytest.mark.parametrize("seed", range(3))
def test_plateau_falls_as_keras_has_it(seed: int) -> None:
    import keras

    losses = np.random.default_rng(seed).normal(1, 0.1, 30).tolist()
    callback = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=2, min_lr=0)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    callback.set_model(model)
    callback.on_train_begin()
    schedule = {"plateau": {"factor": 0.5, "patience": 2}}
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        share = reduced(schedule, losses[: epoch + 1])
        assert share == pytest.approx(float(model.optimizer.learning_rate))
    assert share < 0.1
    assert reduced("cosine", losses) == 1


@pytest.mark.parametrize(
    ("schedule", "named"),
    [
        ("linear", "allowed: constant, cosine, exponential, plateau"),
        ({"cosine": {"warm": 1}}, "allowed: warmup"),
        ({"constant": {"warmup": 1}}, "allowed: none"),
        ({"cosine": {"warmup": -1}}, "out of its range"),
        ({"exponential": {"rate": 0}}, "out of its range"),
        ({"exponential": {"rate": "half"}}, "give a number"),
        ({"plateau": {"patience": 0}}, "out of its range"),
        ({"cosine": {}, "plateau": {}}, "not one schedule"),
    ],
)
def test_a_schedule_that_is_none_is_told(schedule: Any, named: str) -> None:
    with pytest.raises(UserError, match=named):
        parsed(schedule)

"""What stands on a backbone: a head that is fitted already, or a fresh one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifiers.mount.heads import scores_in_graph
from classifiers.mount.runs import Run, read_runs
from classifiers.mount.seen import average, features_seen
from classifiers.network import stack as stacks
from classifiers.store import load_head

Tensor = Any
Stored = Callable[[str, str], Tensor]
"""From a view and a layer, as a features file names it, to that layer of the images."""

ABSENT = -30.0
"""The logit of a class that the head never saw."""


@dataclass(frozen=True)
class Top:
    """From layers of a backbone to the classes' logits.

    Attributes:
        layers: What it sees, as features files name them.
        views: In which views of an image.
        logits: Gives float32 (batch, classes).
        fitted: The fit.json of the run that it is, or nothing where it is fresh.
    """

    layers: Sequence[str]
    views: Sequence[str]
    logits: Callable[[Stored], Tensor]
    fitted: dict[str, Any]


def top_of_run(directory: Path, features: Path) -> Top:
    """A fitted head, scaler and projection included, with the scores that it gives on the cache.

    Of a head with decision values alone the logits are these at the temperature that fits its
    validation images best, which changes no prediction.

    Args:
        directory: The run's folder.
        features: The features file that it was fitted on.

    Raises:
        UserError: The run was fitted on other features, or a file is missing or damaged.
    """
    (run,) = read_runs(directory, [features])
    ((_, layers),) = run.layers.items()
    return Top(layers, run.views, lambda stored: _logits_of(run, stored), dict(run.fitted))


def _logits_of(run: Run, stored: Stored) -> Tensor:
    from keras import layers, ops

    head = load_head(run.directory / run.fitted["head"])
    scores = scores_in_graph(head, "head_", softmax=False)
    rows = [
        scores(row)
        for row in features_seen(run, lambda _, view, layer: stored(view, layer), "head_")
    ]
    if run.temperature is not None:
        logits = layers.Rescaling(1 / run.temperature, name="head_temperature")(average(rows))
    elif len(rows) == 1:
        logits = rows[0]
    else:
        # As the head has it: the mean of the views' probabilities.
        mean = average([layers.Softmax()(row) for row in rows])
        logits = ops.log(ops.maximum(mean, 1e-7))
    seen, classes = head.classes_, len(run.fitted["classes"])
    if len(seen) == classes:
        return logits
    places = [list(seen).index(one) if one in seen else len(seen) for one in range(classes)]
    padded = ops.pad(logits, [[0, 0], [0, 1]], constant_values=ABSENT)
    return ops.take(padded, places, axis=-1)


def fresh_top(layers: Sequence[str], stack: Sequence[Any], classes: int) -> Top:
    """Layers to be trained from nothing: those of a stack, then the classes.

    Args:
        layers: What it sees, side by side; what is kept unpooled is flattened.
        stack: As `classifiers.network.stack.check` takes it.
        classes: How many there are.
    """

    def logits(stored: Stored) -> Tensor:
        import keras

        columns = [stored("identity", layer) for layer in layers]
        flat = [
            keras.layers.Flatten()(column) if len(column.shape) > 2 else column
            for column in columns
        ]
        joined = flat[0] if len(flat) == 1 else keras.layers.Concatenate()(flat)
        return keras.layers.Dense(classes, name="logits")(stacks.apply(stack, joined))

    return Top(layers, ["identity"], logits, {})

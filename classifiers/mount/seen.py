"""What a head sees of an image, as `classifiers.data.Features.matrix` reads it from the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from classifiers.mount.layers import dense, standardisation
from classifiers.mount.runs import Run
from classifiers.projection import read_projection

if TYPE_CHECKING:
    import keras

Stored = Callable[[Path, str, str], "keras.KerasTensor"]
"""From a features file, a view and a layer to that layer of the images."""


def features_seen(run: Run, stored: Stored, name: str) -> list[keras.KerasTensor]:
    """The rows of an image: of the choice "rows" one a view, or else one.

    Args:
        run: Whose head sees them.
        stored: Gives the layers.
        name: What the names of layers begin with.

    Returns:
        float32 (batch, dimensions), each.
    """
    rows = [_joined(run, stored, view) for view in run.views]
    if run.choice.view != "rows":
        rows = [average(rows)]
    if run.choice.root:
        rows = [_rooted(row) for row in rows]
    if run.choice.projects:
        projection = read_projection(run.directory)
        centre = standardisation(projection.mean, name=f"{name}centre")
        turn = dense(projection.matrix, name=f"{name}components")
        rows = [turn(centre(row)) for row in rows]
    return rows


def average(tensors: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
    """The mean of tensors of one shape."""
    from keras import layers

    return tensors[0] if len(tensors) == 1 else layers.Average()(tensors)


def _joined(run: Run, stored: Stored, view: str) -> keras.KerasTensor:
    from keras import layers

    columns = [stored(path, view, layer) for path, names in run.layers.items() for layer in names]
    flat = [layers.Flatten()(column) if len(column.shape) > 2 else column for column in columns]
    return flat[0] if len(flat) == 1 else layers.Concatenate()(flat)


def _rooted(values: keras.KerasTensor) -> keras.KerasTensor:
    """Signed roots, with a slope that is a number at zero too."""
    from keras import ops

    sizes = ops.maximum(ops.abs(values), float(np.finfo(np.float32).tiny))
    return ops.sign(values) * ops.sqrt(sizes)

"""Keras' own layers with weights that are known already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


def dense(
    kernel: np.ndarray, bias: np.ndarray | None = None, *, name: str, trainable: bool = False
) -> keras.layers.Layer:
    """`x @ kernel + bias`.

    Args:
        kernel: (dimensions, units).
        bias: (units,).
        name: The layer's.
        trainable: Whether a fit of the whole may change it.
    """
    import keras

    layer = keras.layers.Dense(
        kernel.shape[1], use_bias=bias is not None, name=name, trainable=trainable
    )
    layer.build((None, kernel.shape[0]))
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return layer


def standardisation(
    mean: np.ndarray, scale: np.ndarray | None = None, *, name: str
) -> keras.layers.Layer:
    """`(x - mean) / scale`, of which both are kept as weights and not as text.

    Args:
        mean: (dimensions,).
        scale: (dimensions,), infinite where a column is to become 0; 1 where missing.
        name: The layer's.
    """
    import keras

    layer = keras.layers.Normalization(name=name)
    layer.build((None, len(mean)))
    layer.adapt_mean.assign(mean)
    layer.adapt_variance.assign(np.ones_like(mean) if scale is None else np.square(scale))
    layer.finalize_state()
    return layer


def table(values: np.ndarray, *, name: str) -> keras.layers.Layer:
    """From places to the rows of `values`, (n, width)."""
    import keras

    layer = keras.layers.Embedding(*values.shape, name=name, trainable=False)
    layer.build((None,))
    layer.set_weights([values])
    return layer


def resizing(matrix: np.ndarray, axis: int) -> keras.layers.Layer:
    """Brings a side of images, (batch, height, width, channels), to another length.

    Args:
        matrix: (old length, new length).
        axis: 1 of the height, 2 of the width.
    """
    import keras

    sides: list[int | None] = [None, None, None, None]
    old, new = sides.copy(), sides.copy()
    old[axis], new[axis] = matrix.shape
    equation = "bhwc,hn->bnwc" if axis == 1 else "bhwc,wn->bhnc"
    layer = keras.layers.EinsumDense(equation, new[1:], trainable=False)
    layer.build(tuple(old))
    layer.set_weights([matrix])
    return layer

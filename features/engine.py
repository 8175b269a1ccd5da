"""What runs the compiled graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

Run = Callable[[np.ndarray], list[np.ndarray]]
"""Images (images, height, width, 3) to float32 features (images, channels), one array a layer."""

BATCH = 64


def tensorflow_engine(model: keras.Model) -> Run:
    """Compiles a model with TensorFlow, float32, on the device that TensorFlow chooses.

    Args:
        model: From images to a list of feature arrays.

    Returns:
        A function of any number of images. It is traced once: the last batch is filled up.
    """
    import tensorflow as tf

    images = model.inputs[0]
    # Not XLA: on CPU it gets `tf.image.resize` wrong.
    forward = tf.function(
        lambda batch: tf.nest.flatten(model(batch, training=False)),
        input_signature=[tf.TensorSpec((BATCH, *images.shape[1:]), images.dtype)],
        jit_compile=False,
    )

    def run(images: np.ndarray) -> list[np.ndarray]:
        batches = []
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            missing = BATCH - len(batch)
            if missing:
                batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
            batches.append([layer.numpy()[: BATCH - missing] for layer in forward(batch)])
        return [np.concatenate(layer) for layer in zip(*batches, strict=True)]

    return run

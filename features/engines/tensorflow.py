"""TensorFlow: XLA and bfloat16 on a GPU, a frozen graph in float32 on a CPU."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from features.engines import Engine, Prepared, Run
from features.engines.batch import CPU_BATCH, fits, largest_batch
from features.engines.graph import Graph, build, fill
from features.errors import UserError

if TYPE_CHECKING:
    import keras

LOG = logging.getLogger("headstart")

AHEAD = 2
"""Batches that a GPU has before it while the next is read and the last is written."""


def prepare_tensorflow(graph: Graph, threads: int) -> Prepared:
    """Builds a graph.

    Args:
        graph: What to run.
        threads: The cores to use on a CPU.

    Raises:
        UserError: The weights are not the backbone's, or Keras runs on another engine here.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"Keras runs on {keras.backend.backend()} here, and so does not with the engine "
            "tensorflow; unset KERAS_BACKEND, or take another `engine`"
        )
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    fast = bool(devices) and graph.backbone.precision == "fast"
    if devices:
        tf.config.experimental.enable_tensor_float_32_execution(False)
    else:
        _limit(threads)
    built = build(graph, "mixed_bfloat16" if fast else "float32")

    def compile(wanted: Sequence[str]) -> Engine:
        model = built.only(wanted, graph.backbone.dtype)
        if not devices:
            return Engine("float32", "CPU", CPU_BATCH, _frozen(model, graph))
        details = tf.config.experimental.get_device_details(devices[0])
        batch, run = _on_gpu(model, graph)
        return Engine(
            "bfloat16" if fast else "float32", details.get("device_name", "GPU"), batch, run
        )

    return Prepared(built.layers, built.facts, compile)


def _on_gpu(model: keras.Model, graph: Graph) -> tuple[int, Run]:
    import tensorflow as tf

    forward = tf.function(
        lambda images: tf.nest.flatten(model(images, training=False)), jit_compile=True
    )

    def attempt(size: int) -> None:
        images = tf.zeros((size, *graph.input_shape), model.inputs[0].dtype)
        # As many at once as there will be.
        for layers in [forward(images) for _ in range(AHEAD + 1)]:
            _fetched(size, layers)

    batch = fits(attempt, largest_batch(graph), tf.errors.ResourceExhaustedError)

    def run(batches: Iterable[np.ndarray]) -> Generator[list[np.ndarray]]:
        under_way: deque[tuple[int, list[Any]]] = deque()
        for images in batches:
            under_way.append((len(images), forward(tf.constant(fill(images, batch)))))
            if len(under_way) > AHEAD:
                yield _fetched(*under_way.popleft())
        while under_way:
            yield _fetched(*under_way.popleft())

    return batch, run


def _fetched(count: int, layers: list[Any]) -> list[np.ndarray]:
    return [layer.numpy()[:count] for layer in layers]


def _frozen(model: keras.Model, graph: Graph) -> Run:
    """The graph with its weights as constants, which TensorFlow folds and fuses further."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    images = tf.TensorSpec((CPU_BATCH, *graph.input_shape), model.inputs[0].dtype)
    # Not XLA: on CPU it gets `tf.image.resize` wrong.
    traced = tf.function(lambda x: tf.nest.flatten(model(x, training=False)))
    frozen = convert_variables_to_constants_v2(traced.get_concrete_function(images))

    def run(batches: Iterable[np.ndarray]) -> Generator[list[np.ndarray]]:
        for batch in batches:
            layers = frozen(tf.constant(fill(batch, CPU_BATCH)))
            yield _fetched(len(batch), layers)

    return run


def _limit(threads: int) -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        LOG.debug("TensorFlow already runs; its threads stay as they are")

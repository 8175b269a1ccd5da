"""JAX on a GPU or TPU, or wherever it is."""

from __future__ import annotations

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

AHEAD = 2
"""Batches that the device has before it while the next is read and the last is written."""


def prepare_jax(graph: Graph) -> Prepared:
    """Builds a graph.

    Raises:
        UserError: The weights are not the backbone's, or Keras runs on another engine here.
    """
    import jax
    import keras

    if keras.backend.backend() != "jax":
        raise UserError(
            f"Keras runs on {keras.backend.backend()} in this process already; the engine jax "
            "wants KERAS_BACKEND=jax"
        )
    fast = graph.backbone.precision == "fast" and jax.devices()[0].platform != "cpu"
    built = build(graph, "mixed_bfloat16" if fast else "float32")

    def compile(wanted: Sequence[str]) -> Engine:
        batch, run = _compile(built.only(wanted, graph.backbone.dtype), graph, fast)
        kind = str(jax.devices()[0].device_kind)
        return Engine("bfloat16" if fast else "float32", kind, batch, run)

    return Prepared(built.layers, built.facts, compile)


def _compile(model: keras.Model, graph: Graph, fast: bool) -> tuple[int, Run]:
    import jax

    device = jax.devices()[0]
    weights = jax.device_put(
        (
            [variable.value for variable in model.trainable_variables],
            [variable.value for variable in model.non_trainable_variables],
        ),
        device,
    )

    def compute(weights: Any, images: Any) -> list[Any]:
        # In float32 a GPU's matrix units would take TensorFloat-32 otherwise.
        with jax.default_matmul_precision("default" if fast else "highest"):
            layers, _ = model.stateless_call(*weights, images, training=False)
        return list(layers) if isinstance(layers, list | tuple) else [layers]

    forward = jax.jit(compute)

    def attempt(size: int) -> None:
        images = np.zeros((size, *graph.input_shape), model.inputs[0].dtype)
        # As many at once as there will be.
        jax.block_until_ready(
            [forward(weights, jax.device_put(images, device)) for _ in range(AHEAD + 1)]
        )

    largest = CPU_BATCH if device.platform == "cpu" else largest_batch(graph)
    batch = fits(attempt, largest, jax.errors.JaxRuntimeError)

    def run(batches: Iterable[np.ndarray]) -> Generator[list[np.ndarray]]:
        under_way: deque[tuple[int, list[Any]]] = deque()
        for images in batches:
            layers = forward(weights, jax.device_put(fill(images, batch), device))
            for layer in layers:
                layer.copy_to_host_async()
            under_way.append((len(images), layers))
            if len(under_way) > AHEAD:
                yield _fetched(*under_way.popleft())
        while under_way:
            yield _fetched(*under_way.popleft())

    return batch, run


def _fetched(count: int, layers: list[Any]) -> list[np.ndarray]:
    return [np.asarray(layer)[:count] for layer in layers]

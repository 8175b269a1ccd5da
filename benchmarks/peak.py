"""What the device can do at most, and how much of it a backbone asks for."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

SIDE = 1024
LAYERS = 8
SECONDS = 2.0


def operations(model: Any) -> float:
    """Floating-point operations an image: two for each multiplication of convolutions and dense.

    Args:
        model: A Keras model on images.
    """
    total = 0.0
    for layer in model._flatten_layers(include_self=False, recursive=True):
        kind = type(layer).__name__
        if kind not in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense"):
            continue
        pixels = float(np.prod(layer.output.shape[1:-1]))
        # Each weight of a kernel is used once for each place of the output.
        total += 2 * pixels * sum(np.prod(w.shape) for w in layer.weights if len(w.shape) > 1)
    return total


def cpu_peak(precision: str) -> float:
    """Operations a second of a CPU in large matrix products, by OpenVINO.

    Args:
        precision: "bf16" or "f32".
    """
    import openvino as ov
    from openvino import opset15 as opset

    x = given = opset.parameter((SIDE, SIDE), np.float32)
    rng = np.random.default_rng(0)
    for _ in range(LAYERS):
        weights = rng.normal(size=(SIDE, SIDE)).astype(np.float32) / SIDE**0.5
        x = opset.matmul(x, opset.constant(weights), False, False)
    compiled = ov.Core().compile_model(
        ov.Model([x], [given]),
        "CPU",
        {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": os.cpu_count(),
        },
    )
    images = rng.normal(size=(SIDE, SIDE)).astype(np.float32)
    streams = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
    requests = [compiled.create_infer_request() for _ in range(streams)]

    def run() -> None:
        for request in requests:
            request.start_async({0: images})
        for request in requests:
            request.wait()

    return streams * _rate(run)


def gpu_peak(precision: str) -> float:
    """The same of what Keras computes on.

    Args:
        precision: "bfloat16" or "float32".
    """
    import keras

    rng = np.random.default_rng(0)
    x = keras.ops.cast(rng.normal(size=(4 * SIDE, 4 * SIDE)), precision)

    def run() -> None:
        y = x
        for _ in range(LAYERS):
            y = keras.ops.matmul(y, x) / (4 * SIDE) ** 0.5
        np.asarray(y[0, 0])

    return 64 * _rate(run)


def _rate(run: Any) -> float:
    run()
    best = float("inf")
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return 2.0 * SIDE**3 * LAYERS / best

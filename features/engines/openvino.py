"""OpenVINO's own runtime on a CPU: several requests at once on a graph that Keras exported."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from features.engines import Engine, Prepared
from features.engines.convert import converted
from features.engines.graph import Graph, fill

if TYPE_CHECKING:
    import openvino as ov

SMALL_IMAGE = 96 * 96
SMALL_BATCH, BATCH = 16, 2
"""Images a batch, up to so many pixels at the backbone's input and beyond: what a core's caches
like."""

LARGEST_SQUARE = 16


def prepare_openvino(graph: Graph, graphs: Path, threads: int) -> Prepared:
    """Finds the converted graph, which is made in a process of its own where it is not yet there.

    Args:
        graph: What to run.
        graphs: The folder in which converted graphs are kept.
        threads: The cores to use.

    Raises:
        UserError: The weights are not the backbone's.
    """
    folder, layers, facts = converted(graph, graphs)
    places = {name: place for place, name in enumerate(layers)}

    def compile(wanted: Sequence[str]) -> Engine:
        return _compile(folder / "model.xml", graph, [places[name] for name in wanted], threads)

    return Prepared(layers, facts, compile)


def _compile(file: Path, graph: Graph, outputs: list[int], threads: int) -> Engine:
    import openvino as ov
    from openvino import opset15 as opset

    core = ov.Core()
    model = core.read_model(file)
    height, width = graph.backbone.size
    batch = SMALL_BATCH if height * width <= SMALL_IMAGE else BATCH
    model.reshape([batch, *graph.input_shape])
    # Said explicitly: left alone, OpenVINO takes bfloat16 where the processor has it.
    fast = graph.backbone.precision == "fast"
    capable = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    precision = "bf16" if fast and capable else "f32"
    ends = [model.get_results()[i].input_value(0) for i in outputs]
    if precision == "bf16":
        ends = [_pooled_in_two_steps(end) for end in ends]
    if graph.backbone.dtype == "float16":
        ends = [opset.convert(end, "f16").output(0) for end in ends]
    model = ov.Model(ends, model.get_parameters(), "features")
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
        },
    )

    streams = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def run(batches: Iterable[np.ndarray]) -> Generator[list[np.ndarray]]:
        # No callbacks: OpenVINO's threads would wait for Python to run them while Python, at the
        # end, waits for these threads.
        free = deque(compiled.create_infer_request() for _ in range(streams + 1))
        under_way: deque[tuple[ov.InferRequest, int]] = deque()

        def oldest() -> list[np.ndarray]:
            request, count = under_way.popleft()
            request.wait()
            free.append(request)
            return [request.get_output_tensor(i).data[:count].copy() for i in range(len(outputs))]

        try:
            for images in batches:
                request = free.popleft()
                request.start_async({0: fill(images, batch)})
                under_way.append((request, len(images)))
                if not free:
                    yield oldest()
            while under_way:
                yield oldest()
        finally:
            for request, _ in under_way:
                request.wait()

    return Engine("bfloat16" if precision == "bf16" else "float32", "CPU", batch, run)


def _pooled_in_two_steps(end: ov.Output) -> ov.Output:
    """Averages a layer over small squares by a convolution first, and then over what these give.

    OpenVINO computes what stands between the last convolution and an output in float32: the layer
    is written out in float32 for its mean alone, which cost MobileNetV2 at 224 a seventh of its
    time. The squares' sides are powers of two, whose inverses bfloat16 has exactly.
    """
    from openvino import opset15 as opset

    mean = end.get_node()
    if mean.get_type_name() != "ReduceMean":
        return end
    layer = mean.input(0).get_source_output()
    shape = list(layer.get_shape())
    if len(shape) != 4:
        return end
    channels, height, width = shape[1:]
    side = math.gcd(height, width, LARGEST_SQUARE)
    axes = mean.input_value(1).get_node().data.tolist()
    if side == 1 or sorted(axes) != [2, 3]:
        return end
    weights = np.full((channels, 1, 1, side, side), 1 / side**2, np.float32)
    squares = opset.group_convolution(
        layer, opset.constant(weights), [side, side], [0, 0], [0, 0], [1, 1]
    )
    return opset.reduce_mean(squares, opset.constant([2, 3]), False).output(0)

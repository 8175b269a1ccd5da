"""OpenVINO's own runtime on a CPU: several requests at once on a graph that Keras exported."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from features.engines import Engine, Prepared
from features.engines.convert import converted
from features.engines.graph import Graph, fill
from features.engines.rewrite import rewrite

if TYPE_CHECKING:
    import openvino as ov

BATCH_PIXELS = 4 * 224 * 224
LARGEST_BATCH = 16
"""A batch has about so many pixels at the backbone's input: what a core's caches like."""

REQUESTS = 3
"""Batches a stream that are under way at once: one is computed, and the others wait for it."""


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
    batch = LARGEST_BATCH
    while batch > 1 and batch * height * width > BATCH_PIXELS:
        batch //= 2
    model.reshape([batch, *graph.input_shape])
    # Said explicitly: left alone, OpenVINO takes bfloat16 where the processor has it.
    fast = graph.backbone.precision == "fast"
    capable = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    precision = "bf16" if fast and capable else "f32"
    if precision == "bf16":
        model = rewrite(model)
    ends = [model.get_results()[i].input_value(0) for i in outputs]
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
        free = deque(compiled.create_infer_request() for _ in range(REQUESTS * streams))
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

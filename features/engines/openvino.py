"""OpenVINO's own runtime on a CPU: an asynchronous queue over a graph that Keras exported."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

import numpy as np

from features.engines import Engine, Prepared
from features.engines.convert import converted
from features.engines.graph import Graph, fill

SMALL_IMAGE = 96 * 96
SMALL_BATCH, BATCH = 16, 2
"""Images a batch, up to so many pixels at the backbone's input and beyond: what a core's caches
like."""


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
    ends = [model.get_results()[i].input_value(0) for i in outputs]
    if graph.backbone.dtype == "float16":
        ends = [opset.convert(end, "f16").output(0) for end in ends]
    model = ov.Model(ends, model.get_parameters(), "features")
    height, width = graph.backbone.size
    batch = SMALL_BATCH if height * width <= SMALL_IMAGE else BATCH
    model.reshape([batch, *graph.input_shape])
    # Said explicitly: left alone, OpenVINO takes bfloat16 where the processor has it.
    fast = graph.backbone.precision == "fast"
    capable = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    precision = "bf16" if fast and capable else "f32"
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
        },
    )

    def run(batches: Iterable[np.ndarray]) -> Generator[list[np.ndarray]]:
        queue = ov.AsyncInferQueue(compiled)
        done: dict[int, list[np.ndarray]] = {}

        def keep(request: ov.InferRequest, job: tuple[int, int]) -> None:
            number, count = job
            done[number] = [
                request.get_output_tensor(i).data[:count].copy() for i in range(len(outputs))
            ]

        queue.set_callback(keep)
        ready = 0
        try:
            for number, images in enumerate(batches):
                # Waits where every request is busy.
                queue.start_async({0: fill(images, batch)}, (number, len(images)))
                while ready in done:
                    yield done.pop(ready)
                    ready += 1
        finally:
            # A queue that goes with requests under way waits for them, and they for Python.
            queue.wait_all()
        while ready in done:
            yield done.pop(ready)
            ready += 1

    return Engine("bfloat16" if precision == "bf16" else "float32", "CPU", batch, run)

"""What runs a graph: one function from uint8 images to features, whatever the hardware.

    openvino    a CPU; Intel's runtime on the graph as Keras exports it
    tensorflow  an NVIDIA GPU, with XLA and bfloat16; and any CPU
    jax         a GPU or TPU

They agree with TensorFlow in float32: in float32 to a relative error of `FLOAT32_TOLERANCE`, in
bfloat16 of `BFLOAT16_TOLERANCE` (Frobenius norm of a layer's difference by that of the layer; the
networks of the tests). A trained network can be further from it in bfloat16: MobileNetV2 0.35 at 96
with ImageNet weights by 2 to 5 % in its stages and by 16 % in its last layer, on CIFAR-10.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.engines.gpu import gpus
from features.engines.graph import Graph
from features.errors import UserError

ENGINES = ("openvino", "tensorflow", "jax")

FLOAT32_TOLERANCE = 1e-4
BFLOAT16_TOLERANCE = 5e-2

Run = Callable[[Iterable[np.ndarray]], Generator[list[np.ndarray]]]
"""Batches (at most `Engine.batch` images, height, width, 3) to features, one array a layer, in the
backbone's dtype. Several batches are under way at once."""


@dataclass(frozen=True)
class Engine:
    """A compiled graph.

    Attributes:
        precision: What it computes in: "float32" or "bfloat16".
        device: What it computes on.
        batch: Images a batch, at most.
        run: What computes.
    """

    precision: str
    device: str
    batch: int
    run: Run


@dataclass(frozen=True)
class Prepared:
    """A graph that is built and not yet compiled.

    Attributes:
        layers: The shape of one image's features by layer.
        facts: The backbone's `parameters` and the `weights_sha256` over all its tensors.
        compile: From the layers that are wanted to what computes them, in that order.
    """

    layers: dict[str, tuple[int, ...]]
    facts: dict[str, Any]
    compile: Callable[[Sequence[str]], Engine]


def choose(engine: str) -> str:
    """The engine that runs: the one that is forced, or the fastest that is there.

    Args:
        engine: One of `ENGINES`, or "auto".

    Raises:
        UserError: It is not installed.
    """
    if engine == "auto":
        if gpus() or _installed("libtpu"):
            for name in ("tensorflow", "jax"):
                if _sees_accelerator(name):
                    return name
        return next((name for name in ENGINES if _installed(name)), "tensorflow")
    if not _installed(engine):
        there = [name for name in ENGINES if _installed(name)]
        raise UserError(
            f"the engine {engine} is not installed; there are {', '.join(there) or 'none'}. "
            f"Install it with: pip install {engine}"
        )
    return engine


def prepare(engine: str, graph: Graph, graphs: Path, threads: int) -> Prepared:
    """Builds a graph for an engine.

    Args:
        engine: One of `ENGINES`.
        graph: What to run.
        graphs: The folder in which converted graphs are kept.
        threads: The cores to use on a CPU.

    Raises:
        UserError: The weights are not the backbone's, or the process cannot run that engine.
    """
    if engine == "openvino":
        from features.engines.openvino import prepare_openvino

        return prepare_openvino(graph, graphs, threads)
    if engine == "jax":
        os.environ.setdefault("KERAS_BACKEND", "jax")
        from features.engines.jax import prepare_jax

        return prepare_jax(graph)
    from features.engines.tensorflow import prepare_tensorflow

    return prepare_tensorflow(graph, threads)


def _installed(engine: str) -> bool:
    return importlib.util.find_spec(engine) is not None


def _sees_accelerator(engine: str) -> bool:
    """Whether an engine was installed with what it needs to compute on a GPU or TPU."""
    if not _installed(engine):
        return False
    if engine == "jax":
        return any(map(_installed, ("jax_cuda12_plugin", "jax_cuda13_plugin", "libtpu")))
    # The package is the same without a GPU; its libraries are not.
    return _installed("nvidia.cudnn") if _installed("nvidia") else _system_cuda()


def _system_cuda() -> bool:
    import ctypes.util

    return ctypes.util.find_library("cudnn") is not None

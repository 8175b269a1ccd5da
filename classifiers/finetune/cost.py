"""What training costs with and without a cache of the boundary, by counting operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from classifiers.finetune.freeze import Cut

if TYPE_CHECKING:
    import keras

BACKWARD = 2
"""Of a trained layer's step, what its gradients cost in forward passes: one product for that of its
weights, and one for that of its inputs."""


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of one image.

    Attributes:
        frozen: Of the part that does not train, forward.
        trained: Of the part that does, the top with it, forward.
    """

    frozen: int
    trained: int

    @property
    def speedup(self) -> float:
        """How many times an epoch from the boundary's cache is faster, counting operations."""
        step = (1 + BACKWARD) * self.trained
        return (self.frozen + step) / step

    @property
    def epochs_to_pay(self) -> int:
        """Epochs after which a pass that computes the whole backbone has cost less than it saved.

        The pass is taken to be as slow as training's own forward step.
        """
        return math.ceil((self.frozen + self.trained) / self.frozen) if self.frozen else 0


def count(backbone: keras.Model, boundary: Cut, top: keras.Model) -> Cost:
    """Counts both parts of a backbone, and what stands on it."""
    above = sum(map(multiply_adds, top.layers))
    return Cost(_sum(backbone, boundary.frozen), _sum(backbone, boundary.trained) + above)


def _sum(backbone: keras.Model, names: Sequence[str]) -> int:
    wanted = set(names)
    return sum(multiply_adds(layer) for layer in backbone.layers if layer.name in wanted)


def multiply_adds(layer: keras.layers.Layer, places: int = 1) -> int:
    """The multiply-adds of a layer's weights, of one image: each weight once a place of the output.

    What multiplies activations by activations, as attention does, counts nothing.

    Args:
        layer: The layer, or one that holds others.
        places: How many places the output has, where the layer has kept no record of its shape.
    """
    with suppress(AttributeError, ValueError):
        places = math.prod(side for side in layer.output.shape[1:-1] if side)
    names = ("kernel", "depthwise_kernel", "pointwise_kernel")
    kernels = [one for name in names if (one := getattr(layer, name, None)) is not None]
    if kernels:
        return places * sum(int(math.prod(kernel.shape)) for kernel in kernels)
    inside = layer._flatten_layers(include_self=False, recursive=False)
    return sum(multiply_adds(part, places) for part in inside)


def boundary_values(backbone: keras.Model, boundary: Cut) -> int:
    """How many numbers the boundary of an image is."""
    outputs = {operation.name: operation.output for operation in backbone.operations}
    return sum(math.prod(outputs[name].shape[1:]) for name in boundary.crossing)

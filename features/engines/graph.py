"""The graph that an engine runs: what it is, how Keras builds it, and what it is known by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.backbones.spec import BackboneSpec
from features.environment import versions
from features.files import file_digest, fingerprint
from features.keras_home import keras_home

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Graph:
    """From images to features.

    Attributes:
        backbone: The backbone and how images are resized and preprocessed for it.
        weights: The local weights file, where the backbone names one.
        image_size: Height and width of the images as they come; None where they come resized, as
            float32 at the backbone's size.
        extractor: See `features.spec.EXTRACTOR`.
    """

    backbone: BackboneSpec
    weights: Path | None
    image_size: tuple[int, int] | None
    extractor: int

    @property
    def imagenet_file(self) -> Path | None:
        """Where Keras keeps the ImageNet weights, if these are the backbone's."""
        kind, _, name = self.backbone.weights.partition(":")
        return keras_home() / "models" / name if kind == "imagenet" else None

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return (*(self.image_size or self.backbone.size), 3)

    def fingerprint(self) -> str:
        """What the graph is known by: all that decides it, and what converts it."""
        return fingerprint(
            {
                "backbone": graph_fields(self.backbone),
                "image_size": self.image_size,
                "extractor": self.extractor,
                "versions": {k: v for k, v in versions().items() if k in CONVERTERS},
            }
        )


def graph_fields(backbone: BackboneSpec) -> dict[str, Any]:
    """What of a backbone's spec decides its graph."""
    fields = asdict(backbone)
    for decides_nothing_here in ("views", "dtype", "precision"):
        del fields[decides_nothing_here]
    return fields


CONVERTERS = ("keras", "openvino", "tensorflow", "tensorflow-cpu")


@dataclass(frozen=True)
class Built:
    """A graph as Keras built it.

    Attributes:
        model: From images to one float32 array a layer.
        layers: The shape of one image's features by layer.
        facts: The backbone's `parameters`, the `weights_sha256` over all its tensors and, of Keras'
            ImageNet weights, the `imagenet_sha256` of their file.
    """

    model: keras.Model
    layers: dict[str, tuple[int, ...]]
    facts: dict[str, Any]

    def only(self, wanted: Sequence[str], dtype: str) -> keras.Model:
        """A model of no more than leads to some layers, in that order, cast to a dtype."""
        import keras

        outputs = dict(zip(self.layers, self.model.outputs, strict=True))
        return keras.Model(
            self.model.inputs, [keras.ops.cast(outputs[name], dtype) for name in wanted]
        )


def build(graph: Graph, policy: str = "float32") -> Built:
    """Builds a graph with Keras.

    Args:
        graph: What to build.
        policy: Keras' dtype policy for the backbone: "float32" or "mixed_bfloat16".

    Raises:
        UserError: The weights are not the backbone's, or it has no such layer.
    """
    from features.backbones.build import build_backbone
    from features.backbones.pooled import pooled_model

    backbone = build_backbone(graph.backbone, graph.weights, policy)
    model, names = pooled_model(backbone, graph.backbone, graph.image_size)
    shapes = [tuple(map(int, tensor.shape[1:])) for tensor in model.outputs]
    facts = {"parameters": backbone.count_params(), "weights_sha256": weights_digest(backbone)}
    if graph.imagenet_file:
        facts["imagenet_sha256"] = file_digest(graph.imagenet_file)
    return Built(model, dict(zip(names, shapes, strict=True)), facts)


def weights_digest(model: keras.Model) -> str:
    """The sha256 over all of a model's weights, wherever they came from."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).data)
    return digest.hexdigest()


def fill(batch: np.ndarray, size: int) -> np.ndarray:
    """Fills a batch up to its size with its last image, so that nothing is compiled twice."""
    missing = size - len(batch)
    return np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)]) if missing else batch

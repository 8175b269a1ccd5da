"""The backbones of a mounted run, cut after the layers that are seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.backbones.spec import BackboneSpec
from features.cache import FeatureFile
from features.engines.graph import Graph, build
from features.errors import UserError
from features.spec import specs_of

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Trunk:
    """A backbone with its preprocessing.

    Attributes:
        backbone: How it was built, and how images are resized for it.
        model: From resized images, float32 (batch, *size, 3), 0 to 255, to one float32 array a
            layer, rounded as it is stored.
        layers: The layers' names, in the order of the model's outputs.
    """

    backbone: BackboneSpec
    model: keras.Model
    layers: Sequence[str]


def build_trunks(
    wanted: Mapping[Path, Sequence[str]], weights: Mapping[Path, Path | None]
) -> dict[Path, Trunk]:
    """Builds the backbone of each features file.

    Args:
        wanted: The layers that are seen of each file.
        weights: The weights file of each, where its spec names one.

    Raises:
        UserError: The weights are others than those that the features were made with.
    """
    return {
        path: _trunk(path, layers, weights[path], f"backbone_{number}")
        for number, (path, layers) in enumerate(wanted.items(), start=1)
    }


def _trunk(path: Path, layers: Sequence[str], weights: Path | None, name: str) -> Trunk:
    import keras

    with FeatureFile(path) as file:
        spec, made_with = file.spec, file.facts["backbone"]["weights_sha256"]
    _, backbone = specs_of(spec)
    if _of_a_file(backbone) and weights is None:
        raise UserError(
            f"{path}: made with weights of a local file (sha256 {backbone.weights[:8]}); name it "
            "under `weights`"
        )
    built = build(Graph(backbone, weights, None, spec["extractor"]))
    if built.facts["weights_sha256"] != made_with:
        raise UserError(
            f"{path}: made with other weights of {backbone.architecture} than "
            f"{weights or backbone.weights} has now; put those weights back, or make the features "
            "and the run anew"
        )
    outputs = dict(zip(built.layers, built.model.outputs, strict=True))
    kept = [outputs[layer] for layer in layers]
    if backbone.dtype == "float16":
        kept = [rounded(tensor) for tensor in kept]
    model = keras.Model(built.model.inputs, kept, name=name)
    return Trunk(backbone, model, layers)


SPLIT = 2.0**13 + 1
"""Leaves float32's 24 significant bits the 11 of float16."""


def rounded(x: keras.KerasTensor) -> keras.KerasTensor:
    """As float16 keeps it, for a head may be of whitened features, where that is seen.

    By Veltkamp's splitting (Dekker 1971, A floating-point technique for extending the available
    precision, section 5), for OpenVINO drops a cast to float16 and back, which moved probabilities
    of real images by up to 0.004. Below float16's least normal number, 6e-5, it keeps more digits.

    A sum, so that what trains the backbone is not rounded as well.
    """
    from keras import ops

    large = x * SPLIT
    kept = large - (large - x)
    return x + ops.stop_gradient(kept - x)


def _of_a_file(backbone: BackboneSpec) -> bool:
    return backbone.weights.partition(":")[0] not in ("imagenet", "embedded", "random")

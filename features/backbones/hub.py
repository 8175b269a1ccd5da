"""Presets of KerasHub as backbones: ViT, DINOv2, SigLIP and their like, and its convolutional ones.

Needs the extra `hub`.
"""

from __future__ import annotations

import inspect
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.backbones.preset import read_preset
from features.backbones.stages import stages
from features.errors import UserError
from features.files import disk_errors

if TYPE_CHECKING:
    import keras

QUARTERS = 4
"""At how many depths a transformer's tokens are kept; its last block's among them."""

CLASS_TOKEN = "_class"
"""Ends the name of a stage's class token."""

Named = tuple[str, Any]
"""A stage's name and its symbolic tensor."""


def fetch_preset(name: str, folder: Path) -> None:
    """Downloads a preset and writes it into a folder.

    Args:
        name: As KerasHub takes it: "dinov2_small", "hf://timm/resnet18.a1_in1k", a folder, ...
        folder: Gets the preset: backbone, weights and image converter.

    Raises:
        UserError: KerasHub is not installed or has no such preset, the preset is of no images,
            there is no network, or the disk is full.
    """
    hub = _keras_hub()
    try:
        backbone = hub.models.Backbone.from_preset(name)
        converter = hub.layers.ImageConverter.from_preset(name)
    except Exception as error:
        raise UserError(
            f"the preset {name} could not be had: {str(error).strip()}\n"
            "Without a network, copy the folder from a machine on which this command ran"
        ) from error
    part = folder.with_name(folder.name + ".part")
    with disk_errors(folder):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        backbone.save_to_preset(str(part))
        converter.save_to_preset(str(part))
        part.rename(folder)


def build_preset(folder: Path, size: tuple[int, int]) -> keras.Model:
    """Builds the image backbone of a preset, with its own scaling of the pixels.

    Of a transformer four depths are kept, the last one after its closing normalization, each as the
    patches' tokens in their places and, where it has one, the class token; then what it pools
    itself. Oquab et al. 2023, "DINOv2: learning robust visual features without supervision",
    section 7, train linear heads on the class token and the mean of the patches' tokens.

    Args:
        folder: The preset; see `features.backbones.preset.read_preset`.
        size: Height and width of the images.

    Returns:
        A model from resized images, float32 (batch, height, width, 3), 0 to 255, to one array a
        stage, (batch, height, width, channels), named by the operations that give them.

    Raises:
        UserError: KerasHub is not installed or cannot load it, or it is of no kind that can be a
            backbone.
    """
    import keras

    hub = _keras_hub()
    preset = read_preset(folder)
    options: dict[str, Any] = {"dtype": keras.config.dtype_policy()}
    if preset.built_for != size:
        options["image_shape"] = (*size, 3)
    try:
        whole = hub.models.Backbone.from_preset(str(folder), **options)
        converter = hub.layers.ImageConverter.from_preset(str(folder))
    except Exception as error:
        raise UserError(
            f"{folder}: KerasHub cannot load this preset for images of {size[0]}x{size[1]} "
            f"({_first_line(error)})"
        ) from error
    plain = hub.layers.ImageConverter
    if type(converter).call is not plain.call:
        raise UserError(f"{folder}: its {type(converter).__name__} does more than resize and scale")
    vision = getattr(whole, "vision_encoder", whole)
    if len(vision.inputs) != 1 or len(vision.inputs[0].shape) != 4:
        raise UserError(f"{folder}: {type(whole).__name__} is no backbone on images")

    found = _stages(vision)
    trunk = keras.Model(vision.inputs[0], [tensor for _, tensor in found])
    images = keras.Input((*size, 3), name="images")
    pixels = keras.layers.Rescaling(preset.scale, preset.offset, name="own_scale")(images)
    tensors = trunk(pixels, training=False)
    # Tried, for SigLIP's graph promises a token more than there are.
    tried = keras.tree.flatten(trunk(np.zeros((1, *size, 3), np.float32)))
    kept: list[Any] = []
    for (name, _), tensor, given in zip(found, keras.tree.flatten(tensors), tried, strict=True):
        kept += _spatial(name, tensor, given.shape[1:], vision, size)
    return keras.Model(images, kept, name=whole.name)


def _stages(vision: Any) -> list[Named]:
    """What is kept of a backbone, by depth: spatial layers, or tokens at four depths."""
    last = _last(vision)
    if len(last.shape) == 4:
        outputs = {operation.name: operation.output for operation in vision.operations}
        return [(name, outputs[name]) for name in stages(vision)]
    whole = next((part for part in vision.operations if hasattr(part, "encoder_layers")), None)
    if whole:
        blocks = _unrolled(whole)
        last = whole.layer_norm(blocks[-1][1])
    else:
        blocks = _blocks(vision)
    quarters = [blocks[max(1, len(blocks) * i // QUARTERS) - 1] for i in range(1, QUARTERS)]
    if len(last.shape) == 3:
        closing = [("normalized", last)]
    else:
        closing = [("normalized", _tokens(vision)[-1].output), ("pooled", last)]
    # Where there are fewer blocks than quarters some are named twice.
    return [*dict(quarters).items(), *closing]


def _last(vision: Any) -> Any:
    output = vision.output
    if isinstance(output, dict):
        return output.get("sequence_output", next(iter(output.values())))
    return output[0] if isinstance(output, (list, tuple)) else output


def _tokens(vision: Any) -> list[Any]:
    """The operations of a graph that give tokens, by depth."""
    return [
        operation
        for operation in vision.operations
        if len(getattr(operation.output, "shape", ())) == 3
    ]


def _blocks(vision: Any) -> list[Named]:
    """The tokens after each block of a transformer, by depth."""
    pyramid = getattr(vision, "pyramid_outputs", {})
    named = [(name, tensor) for name, tensor in pyramid.items() if name != "stem"]
    if named:
        return named
    tokens = _tokens(vision)
    # A transformer's commonest part is its block.
    kinds = Counter(type(operation) for operation in tokens)
    (kind, _), *_ = kinds.most_common(1)
    return [(operation.name, operation.output) for operation in tokens if type(operation) is kind]


def _unrolled(encoder: Any) -> list[Named]:
    """The blocks of an encoder that is one layer, as ViT's and DeiT's are, one by one."""
    tokens = encoder.input
    blocks = []
    for block in encoder.encoder_layers:
        # DeiT's give None beside the tokens unless they are asked for their scores.
        scores = "return_attention_scores" in inspect.signature(block.call).parameters
        tokens = block(tokens, return_attention_scores=True)[0] if scores else block(tokens)
        blocks.append((block.name, tokens))
    return blocks


def _spatial(
    name: str, tensor: Any, shape: Sequence[int], vision: Any, size: Sequence[int]
) -> list[Any]:
    """A stage as tensors with height and width: patches in their places, a class token as one."""
    from keras import layers

    *_, width = shape
    if len(shape) == 3:
        return [layers.Identity(name=name)(tensor)]
    if len(shape) == 1:
        return [layers.Reshape((1, 1, width), name=name)(tensor)]
    patch = getattr(vision, "patch_size", None)
    patch = (patch, patch) if isinstance(patch, int) else patch
    grid = (size[0] // patch[0], size[1] // patch[1]) if patch else (1, shape[0])
    # Class, distillation and register tokens come before the patches'.
    count = grid[0] * grid[1]
    patches = layers.Reshape((*grid, width), name=name)(tensor[:, -count:])
    if shape[0] == count:
        return [patches]
    return [patches, layers.Reshape((1, 1, width), name=name + CLASS_TOKEN)(tensor[:, 0])]


def _keras_hub() -> Any:
    try:
        import keras_hub
    except ImportError as error:
        raise UserError(
            "presets of KerasHub need the extra `hub`: install it by `uv sync --extra hub` or "
            "`pip install -c constraints.txt -e .[cpu,hub]`"
        ) from error
    return keras_hub


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

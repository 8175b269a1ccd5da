"""The whole way from an image to its features as one graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from features.backbones.hub import CLASS_TOKEN
from features.backbones.spec import BackboneSpec
from features.backbones.stages import stages
from features.cache.layout import SPATIAL
from features.errors import UserError
from features.resize import matrices

if TYPE_CHECKING:
    import keras

# Of the pixels 0..255 in RGB, as `keras.applications.imagenet_utils.preprocess_input` has them.
TORCH_MEAN = (0.485, 0.456, 0.406)
TORCH_DEVIATION = (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)

GREY = 128.0

BAND = 64
"""Pixels of a side, of which a resized pixel needs only a few, that are worth a product of their
own."""


def pooled_model(
    backbone: keras.Model,
    spec: BackboneSpec,
    image_size: tuple[int, int] | None,
) -> tuple[keras.Model, list[str]]:
    """Puts resize, preprocessing, backbone and pooling into one model.

    Args:
        backbone: A frozen backbone on preprocessed images.
        spec: How images are resized and preprocessed, and which layers are kept unpooled too.
        image_size: Height and width of the images as they come; None where they differ, and come
            resized by `features.resize`.

    Returns:
        A model from images (batch, height, width, 3), uint8 or, already resized, float32, to one
        float32 array a layer; and the layers' names. First by depth the stages, pooled (batch,
        channels); then those kept unpooled, "spatial/" and the name, (batch, height, width,
        channels).

    Raises:
        UserError: The backbone has no such layer to keep unpooled.
    """
    import keras
    from keras import layers

    names = layer_names(backbone, spec)
    outputs = {operation.name: operation.output for operation in backbone.operations}
    trunk = keras.Model(backbone.inputs, [outputs[name.removeprefix(SPATIAL)] for name in names])
    if image_size is None:
        images = keras.Input((*spec.size, 3), dtype="float32", name="images")
        x = images
    else:
        images = keras.Input((*image_size, 3), dtype="uint8", name="images")
        # Float before the resize, which would round integers.
        x = keras.ops.cast(images, "float32")
        if image_size != spec.size:
            x = resize_in_graph(x, image_size, spec)
    # A backbone behind other layers would be exported in training mode without this.
    activations = trunk(preprocess(x, spec.preprocessing), training=False)
    if len(names) == 1 and not isinstance(activations, list):
        activations = [activations]
    kept = [
        keras.ops.cast(activation, "float32")
        if name.startswith(SPATIAL)
        else layers.GlobalAveragePooling2D(name=f"pooled_{i}", dtype="float32")(activation)
        for i, (name, activation) in enumerate(zip(names, activations, strict=True))
    ]
    return keras.Model(images, kept, name="features"), names


def layer_names(backbone: keras.Model, spec: BackboneSpec) -> list[str]:
    """The names of the layers that are kept of a backbone; see `pooled_model`."""
    names = stages(backbone)
    # A class token is nothing to keep unpooled; the patches' tokens beside it are.
    last = names[-1].removesuffix(CLASS_TOKEN)
    spatial = [last if name == "last" else name for name in spec.spatial]
    known = {
        operation.name
        for operation in backbone.operations
        if len(getattr(operation.output, "shape", ())) == 4
    }
    unknown = [name for name in spatial if name not in known]
    if unknown:
        raise UserError(
            f"{spec.architecture} has no layer {', '.join(unknown)} to keep unpooled (`spatial`); "
            f"its stages are {', '.join(names)}, and `last` is the last of them"
        )
    return names + [SPATIAL + name for name in dict.fromkeys(spatial)]


def resize_in_graph(
    x: keras.KerasTensor, image_size: tuple[int, int], spec: BackboneSpec
) -> keras.KerasTensor:
    """Brings images to the backbone's size by matrix products, alike on every engine.

    Args:
        x: Images, float32 (batch, height, width, 3).
        image_size: Their height and width.
        spec: The size to come to, and how.

    Returns:
        float32 (batch, *size, 3).
    """
    from keras import ops

    rows, columns = matrices(image_size, spec.size, spec.interpolation, spec.resize, spec.antialias)
    # Three things for bfloat16, which keeps eight bits. About grey, and not about black: the pixels
    # themselves it has exactly, and what it rounds is smaller. Linear weights are whole multiples
    # of 1 / (2 size): as these whole numbers it has most of them exactly. And of grey itself the
    # products would make this, which is less where there is padding:
    grey = GREY * np.outer(rows.sum(axis=1), columns.sum(axis=1))[:, :, None]
    high, wide = (
        2 * new // math.gcd(old, new) for old, new in zip(image_size, spec.size, strict=True)
    )
    # With the matrix on the right in both, each is one large product.
    planes = _banded(ops.transpose(x - GREY, (0, 3, 2, 1)), high * rows.T)
    planes = _banded(ops.transpose(planes, (0, 1, 3, 2)), wide * columns.T)
    return ops.transpose(planes, (0, 2, 3, 1)) * (1 / (high * wide)) + grey


def _banded(x: keras.KerasTensor, matrix: np.ndarray) -> keras.KerasTensor:
    """`x @ matrix`, without most of the zeros where a matrix that resizes is large."""
    from keras import ops

    products = []
    for columns in np.array_split(matrix, max(1, len(matrix) // BAND), axis=1):
        used = np.flatnonzero(columns.any(axis=1))
        band = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
        products.append(ops.matmul(x[..., band], columns[band]))
    return products[0] if len(products) == 1 else ops.concatenate(products, axis=-1)


def preprocess(x: keras.KerasTensor, mode: str) -> keras.KerasTensor:
    """Applies a preprocessing mode as layers.

    Args:
        x: Resized images, float32 (batch, height, width, 3), RGB, 0 to 255.
        mode: A key of `features.backbones.registry.PREPROCESSING`.

    Returns:
        What the weights want, same shape.
    """
    from keras import layers, ops

    if mode == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    if mode == "torch":
        scale = [1 / (255 * deviation) for deviation in TORCH_DEVIATION]
        offset = [-m / d for m, d in zip(TORCH_MEAN, TORCH_DEVIATION, strict=True)]
        return layers.Rescaling(scale, offset=offset)(x)
    if mode == "caffe":
        # Taken, and not flipped: OpenVINO then turns the first convolution's weights instead.
        blue_first = ops.take(x, [2, 1, 0], axis=-1)
        return layers.Rescaling(1.0, offset=[-mean for mean in CAFFE_MEAN_BGR])(blue_first)
    if mode == "unit":
        return layers.Rescaling(1 / 255)(x)
    return x

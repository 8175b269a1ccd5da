"""The whole way from an image to its features as one graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.backbones.spec import BackboneSpec
from features.backbones.stages import stages

if TYPE_CHECKING:
    import keras

# Of the pixels 0..255 in RGB, as `keras.applications.imagenet_utils.preprocess_input` has them.
TORCH_MEAN = (0.485, 0.456, 0.406)
TORCH_DEVIATION = (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def pooled_model(
    backbone: keras.Model, spec: BackboneSpec, image_size: tuple[int, int] | None
) -> tuple[keras.Model, list[str]]:
    """Puts resize, preprocessing, backbone and pooling into one model.

    Args:
        backbone: A frozen backbone on preprocessed images.
        spec: How images are resized and preprocessed.
        image_size: Height and width of the images as they come; None where they differ, and come
            resized by `resizer`.

    Returns:
        A model from images (batch, height, width, 3), uint8 or, already resized, float32, to one
        float32 array (batch, channels) a layer; and the layers' names by depth.
    """
    import keras
    from keras import layers

    names = stages(backbone)
    outputs = {operation.name: operation.output for operation in backbone.operations}
    trunk = keras.Model(backbone.inputs, [outputs[name] for name in names])
    if image_size is None:
        images = keras.Input((*spec.size, 3), dtype="float32", name="images")
        x = images
    else:
        images = keras.Input((*image_size, 3), dtype="uint8", name="images")
        # Float before the resize, which would round integers.
        x = keras.ops.cast(images, "float32")
        if image_size != spec.size:
            x = resizer(spec)(x)
    # A backbone behind other layers would be exported in training mode without this.
    activations = trunk(preprocess(x, spec.preprocessing), training=False)
    if len(names) == 1:
        activations = [activations]
    pooled = [
        layers.GlobalAveragePooling2D(name=f"pooled_{i}")(activation)
        for i, activation in enumerate(activations)
    ]
    return keras.Model(images, pooled, name="features"), names


def resizer(spec: BackboneSpec) -> keras.layers.Resizing:
    """The layer that brings float32 images to the backbone's size."""
    from keras import layers

    return layers.Resizing(
        *spec.size,
        interpolation=spec.interpolation,
        crop_to_aspect_ratio=spec.resize == "crop",
        pad_to_aspect_ratio=spec.resize == "pad",
    )


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
        return layers.Rescaling(1.0, offset=[-mean for mean in CAFFE_MEAN_BGR])(
            ops.flip(x, axis=-1)
        )
    if mode == "unit":
        return layers.Rescaling(1 / 255)(x)
    return x

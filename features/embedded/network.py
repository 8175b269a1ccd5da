"""The architecture of the embedded backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

STAGES = ((32, 2), (64, 1), (128, 1))
"""Channels and residual blocks of each stage; every stage halves the resolution."""


def build(height: int = 32, width: int = 32) -> keras.Model:
    """Builds the network without its top, with fresh weights.

    Basic residual blocks with a projection shortcut where the shape changes (He et al. 2016, "Deep
    residual learning for image recognition", section 3.3, option B). The first convolution keeps
    the resolution and the first stage already halves it, which costs less than half of the
    smallest of that paper's CIFAR networks (section 4.2).

    Args:
        height: Height of the input in pixels.
        width: Its width.

    Returns:
        A model from float32 images of shape (batch, height, width, 3), scaled to -1..1, to float32
        activations of shape (batch, height / 8, width / 8, 128).
    """
    import keras
    from keras import layers

    def convolution(
        x: keras.KerasTensor, filters: int, kernel: int, strides: int, name: str
    ) -> keras.KerasTensor:
        x = layers.Conv2D(
            filters, kernel, strides=strides, padding="same", use_bias=False, name=f"{name}_conv"
        )(x)
        return layers.BatchNormalization(name=f"{name}_bn")(x)

    inputs = keras.Input((height, width, 3), name="images")
    x = layers.ReLU(name="stem_out")(convolution(inputs, 16, 3, 1, "stem"))
    for stage, (filters, blocks) in enumerate(STAGES, start=1):
        for block in range(1, blocks + 1):
            name = f"stage{stage}_block{block}"
            strides = 2 if block == 1 else 1
            shortcut = x if strides == 1 else convolution(x, filters, 1, strides, f"{name}_0")
            y = layers.ReLU(name=f"{name}_1_relu")(convolution(x, filters, 3, strides, f"{name}_1"))
            y = convolution(y, filters, 3, 1, f"{name}_2")
            x = layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([shortcut, y]))
    return keras.Model(inputs, x, name="embedded")

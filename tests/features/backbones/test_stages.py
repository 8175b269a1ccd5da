"""The layers that are kept, against what is known of the networks."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from features.backbones.build import build_backbone
from features.backbones.registry import ARCHITECTURES
from features.backbones.spec import BackboneSpec
from features.backbones.stages import stages


def stages_of(name: str, side: int) -> list[str]:
    spec = BackboneSpec(
        architecture=name,
        alpha=min(ARCHITECTURES[name].alphas, default=1.0),
        size=(side, side),
        resize="stretch",
        interpolation="bilinear",
        preprocessing="raw",
        weights="random",
        views=("identity",),
    )
    return stages(build_backbone(spec, None))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "ResNet50",
            "conv1_relu conv2_block3_out conv3_block4_out conv4_block6_out conv5_block3_out",
        ),
        (
            "VGG16",
            "block1_conv2 block2_conv2 block3_conv3 block4_conv3 block5_conv3 block5_pool",
        ),
        ("DenseNet121", "conv1_relu pool2_relu pool3_relu pool4_relu relu"),
        (
            "MobileNetV2",
            "expanded_conv_depthwise_relu block_1_expand_relu block_3_expand_relu "
            "block_6_expand_relu block_10_depthwise_relu block_13_expand_relu "
            "block_16_depthwise_relu out_relu",
        ),
    ],
)
def test_known_networks(name: str, expected: str) -> None:
    assert stages_of(name, 64) == expected.split()


def test_a_branch_is_never_a_stage() -> None:
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", name="trunk")(inputs)
    wide = layers.Conv2D(64, 3, padding="same", name="branch")(x)
    wide = layers.Conv2D(8, 3, padding="same", name="branch_out")(wide)
    x = layers.Add(name="joined")([x, wide])
    x = layers.Conv2D(16, 3, strides=2, padding="same", name="last")(x)
    assert stages(keras.Model(inputs, x)) == ["joined", "last"]


def test_a_network_of_one_layer() -> None:
    inputs = keras.Input((8, 8, 3))
    assert stages(keras.Model(inputs, layers.Conv2D(4, 3, name="only")(inputs))) == ["only"]


def test_widths_that_never_fall_give_one_layer_a_resolution() -> None:
    inputs = x = keras.Input((32, 32, 3))
    for i, (width, strides) in enumerate([(4, 1), (8, 1), (8, 2), (16, 1), (16, 2)]):
        x = layers.Conv2D(width, 3, strides=strides, padding="same", name=f"c{i}")(x)
    assert stages(keras.Model(inputs, x)) == ["c1", "c3", "c4"]

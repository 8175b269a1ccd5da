"""The parts of fine-tuning, each by itself."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from classifiers.finetune import scratch
from classifiers.finetune.augment import augmentation
from classifiers.finetune.cost import count, multiply_adds
from classifiers.finetune.freeze import cut, first_layer, quiet, unfreeze
from classifiers.finetune.rows import ahead
from classifiers.finetune.settings import DEFAULTS, check
from features.errors import UserError

FOOD = [
    {"conv": 32, "padding": "same"},
    {"conv": 32},
    {"pool": 2},
    {"dropout": 0.25},
    {"conv": 64, "padding": "same"},
    {"conv": 64},
    {"pool": 2},
    {"dropout": 0.25},
    {"conv": 128, "padding": "same"},
    {"conv": 128},
    {"activation": "relu"},
    {"pool": 2},
    {"dropout": 0.25},
    {"conv": 512, "kernel": 5, "padding": "same"},
    {"conv": 512, "kernel": 5},
    {"pool": 4},
    {"dropout": 0.25},
]


def test_a_network_from_scratch_has_the_published_parameters() -> None:
    network = scratch.build(FOOD, (128, 128))
    convolutions = [x for x in network.layers if isinstance(x, keras.layers.Conv2D)]
    assert [layer.count_params() for layer in convolutions[-2:]] == [1_638_912, 6_554_112]
    assert network.output_shape == (None, 2, 2, 512)
    dense = 2048 * 1024 + 1024 + 1024 * 10 + 10
    assert network.count_params() + dense == 10_588_458


def test_images_that_are_too_small_for_a_network_are_refused() -> None:
    with pytest.raises(UserError, match=r"images of 16 x 16 are too small.*nothing is left"):
        scratch.build(FOOD, (16, 16))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([{"convolution": 3}], "no layer; allowed: conv"),
        ([{"conv": 0}], "no whole number above 0"),
        ([{"conv": 8, "kernal": 3}], "takes no option 'kernal'"),
        ([{"conv": 8, "padding": "full"}], "padding is one of same, valid"),
        ([{"dropout": 1.0}], "is no share"),
    ],
)
def test_impossible_layers_are_named(layers: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        scratch.check(layers)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unfreeze": "half"}, r"allowed: all, none, \{last: 20\}"),
        ({"unfreeze": {"last": 0}}, "unfreeze"),
        ({"unfreeze": {"last": 2, "from": 3}}, "unfreeze"),
        ({"augmentation": {"flop": "horizontal"}}, "do you mean 'flip'"),
        ({"augmentation": {"flip": "sideways"}}, "horizontal, vertical or both"),
        ({"augmentation": {"brightness": [0.7, 0.1]}}, "two factors"),
        ({"augmentation": {"zoom": 1}}, "below 1"),
        ({"patience": 3, "monitor": None}, "nothing is watched"),
        ({"mixup": 0.2, "cutmix": 1.0}, "take one of them"),
        ({"schedule": "slow"}, "no schedule 'slow'"),
        ({"stack": [{"dence": 3}]}, "no layer 'dence'"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(DEFAULTS | settings)


def test_the_defaults_are_possible() -> None:
    check(DEFAULTS)


@pytest.mark.parametrize(
    ("which", "first"), [("all", 0), ("none", 5), ({"last": 2}, 3), ({"from": 4}, 4)]
)
def test_layers_are_counted_as_keras_counts_them(which: Any, first: int) -> None:
    names = ["images", "conv", "relu", "pool", "out"]
    assert first_layer(names, which) == first
    assert first_layer(names, {"from": "pool"}) == 3


@pytest.mark.parametrize(
    ("architecture", "size", "which", "boundary", "speedup"),
    [
        ("ResNet50", 64, {"from": 143}, ("conv4_block6_out",), 2.3),
        ("InceptionResNetV2", 299, {"from": 633}, ("block8_1_ac",), 3.5),
        ("VGG16", 224, {"last": 2}, ("block5_conv2",), 10),
    ],
)
def test_the_published_boundaries_are_worth_what_counting_says(
    architecture: str, size: int, which: Any, boundary: tuple[str, ...], speedup: float
) -> None:
    keras.utils.clear_session()
    make = getattr(keras.applications, architecture)
    backbone = make(include_top=False, weights=None, input_shape=(size, size, 3))
    backbone.trainable = False
    unfreeze(backbone, which, "frozen")
    found = cut(backbone, [backbone.operations[-1].name])
    assert found.crossing == boundary
    features = keras.Input(backbone.output_shape[1:])
    # The top of the one that has a large one.
    widths = (4096, 1072, 10) if architecture == "VGG16" else (10,)
    outputs = keras.layers.Flatten()(features)
    for width in widths:
        outputs = keras.layers.Dense(width)(outputs)
    top = keras.Model(features, outputs)
    assert count(backbone, found, top).speedup == pytest.approx(speedup, rel=0.12)


def test_multiply_adds_are_weights_times_places() -> None:
    inputs = keras.Input((8, 8, 3))
    hidden = keras.layers.Conv2D(4, 3)(inputs)
    separable = keras.layers.SeparableConv2D(6, 3, padding="same")(hidden)
    network = keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(separable)))
    found = [multiply_adds(layer) for layer in network.layers]
    assert found == [0, 6 * 6 * 27 * 4, 36 * (9 * 4 + 4 * 6), 0, 36 * 6 * 5]


def test_dropout_drops_nothing_in_the_frozen_part_and_goes_on_in_the_rest() -> None:
    inputs = keras.Input((8, 8, 3))
    below = keras.layers.Dropout(0.5, name="below")(keras.layers.Conv2D(4, 3)(inputs))
    trained = keras.layers.Conv2D(4, 3, name="trained")(below)
    network = keras.Model(inputs, keras.layers.Dropout(0.5, name="above")(trained))
    network.trainable = False
    unfreeze(network, {"from": "trained"}, "frozen")
    quiet(network, cut(network, ["above"]))
    frozen = keras.Model(inputs, below)
    images = np.ones((1, 8, 8, 3), np.float32)
    np.testing.assert_array_equal(frozen(images, training=True), frozen(images, training=False))
    assert network.get_layer("above").rate == 0.5


ALL = {
    "flip": "both",
    "rotation": 20,
    "shift": 0.2,
    "zoom": 0.2,
    "brightness": [0.5, 0.9],
    "randaugment": 0.5,
    "fill": "nearest",
}


@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
def test_equal_seeds_draw_equally_whatever_came_before(mix: str) -> None:
    draw = augmentation(ALL, 0.3 if mix == "mixup" else 0, 1.0 if mix == "cutmix" else 0)
    assert draw is not None
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 12, 10, 3)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    first = [np.asarray(one) for one in draw(images, targets, (0, 1, 2))]
    other = [np.asarray(one) for one in draw(images, targets, (0, 1, 3))]
    again = [np.asarray(one) for one in draw(images, targets, (0, 1, 2))]
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()
    np.testing.assert_allclose(first[1].sum(axis=1), 1, rtol=1e-5)
    assert first[0].shape == images.shape and first[0].min() >= 0 and first[0].max() <= 255


def test_brightness_is_a_factor_of_the_whole_image() -> None:
    draw = augmentation({"brightness": [0.1, 0.7]}, 0, 0)
    assert draw is not None
    images = np.full((50, 4, 4, 3), 100, np.float32)
    seen = np.asarray(draw(images, np.eye(50, dtype=np.float32), (0,))[0])
    assert (seen == seen[:, :1, :1, :1]).all()
    assert 10 <= seen.min() < 25 and 55 < seen.max() <= 70


def test_nothing_is_drawn_where_nothing_is_asked() -> None:
    assert augmentation({}, 0, 0) is None


def test_an_error_of_who_reads_ahead_reaches_who_waits() -> None:
    def broken() -> Any:
        yield 1
        raise UserError("a file is gone")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(UserError, match="a file is gone"):
        next(items)

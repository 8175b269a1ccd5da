"""The layers of a stack, and what is none."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from classifiers.network.stack import ACTIVATIONS, apply, check, short_form
from features.errors import UserError

# Published pipeline 2: layers of falling width, each normalised and followed by dropout.
RESNET = [
    {"batch_normalization": {}},
    {"dense": 256},
    {"dropout": 0.5},
    {"batch_normalization": {}},
    {"dense": 128},
    {"dropout": 0.5},
    {"batch_normalization": {}},
    {"dense": 64},
    {"dropout": 0.5},
    "batch_normalization",
]
# Published pipeline 5.
VGG = [{"dense": 4096}, {"dense": 1072}, {"dropout": 0.2}]


def built(stack: list[Any]) -> list[keras.layers.Layer]:
    check(stack)
    inputs = keras.Input((10,))
    return keras.Model(inputs, apply(stack, inputs)).layers[1:]


def test_the_published_tops_can_be_written() -> None:
    names = [type(layer).__name__ for layer in built(RESNET)]
    block = ["BatchNormalization", "Dense", "Dropout"]
    assert names == block * 3 + ["BatchNormalization"]
    dense = [layer for layer in built(VGG) if isinstance(layer, keras.layers.Dense)]
    assert [layer.units for layer in dense] == [4096, 1072]
    assert built(VGG)[2].rate == 0.2


def test_options_reach_their_layers() -> None:
    layers = built([{"dense": 3, "activation": "linear", "l1": 0.5, "l2": 0.25}, {"dense": 2}])
    assert layers[0].activation is keras.activations.linear
    assert layers[0].kernel_regularizer.get_config() == {"l1": 0.5, "l2": 0.25}
    assert layers[1].activation is keras.activations.relu
    assert layers[1].kernel_regularizer is None


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_one_of_keras(activation: str) -> None:
    assert built([{"activation": activation}])[0].activation is keras.activations.get(activation)


def test_the_short_form_is_a_stack() -> None:
    assert short_form([8, 4], 0.5) == [
        {"dense": 8},
        {"dropout": 0.5},
        {"dense": 4},
        {"dropout": 0.5},
    ]
    assert short_form([8], 0) == [{"dense": 8}]
    assert short_form([], 0.5) == []


@pytest.mark.parametrize(
    ("stack", "named"),
    [
        ([{"densse": 8}], "layer 1 .* no layer 'densse'; allowed: dense, batch_normalization"),
        ([{"dense": 8}, {}], "layer 2 .* no layer nothing"),
        ([{"dense": 8, "l3": 1}], "no option 'l3'; allowed: activation, l1, l2"),
        ([{"dense": 8, "dropout": 0.5}], "Each layer is an entry of its own"),
        ([{"dropout": 0.5, "rate": 1}], "no option 'rate'; allowed: none"),
        ([{"dense": 0}], "0 is no width"),
        ([{"dense": 2.5}], "2.5 is no width"),
        ([{"dense": True}], "True is no width"),
        (["dense"], "None is no width"),
        ([{"dropout": 1}], "1 is no share"),
        ([{"dense": 8, "activation": "rel"}], "no activation 'rel'; allowed: relu, elu"),
        ([{"activation": None}], "no activation None"),
        ([{"dense": 8, "l2": -1}], "l2=-1"),
        ([{"batch_normalization": {"momentum": 1}}], "takes nothing"),
        ([8], "no layer; give a mapping such as {dense: 256}"),
        ({"dense": 8}, "no list of layers"),
        ("dense", "no list of layers"),
    ],
)
def test_what_is_no_stack_is_told(stack: Any, named: str) -> None:
    with pytest.raises(UserError, match=named):
        check(stack)


@pytest.mark.parametrize("hidden", [[0], [-3], ["wide"]])
def test_a_width_that_is_none_is_told_by_the_setting_s_name(hidden: list[Any]) -> None:
    with pytest.raises(UserError, match=r"^hidden, dropout: layer 1"):
        short_form(hidden, 0.5)

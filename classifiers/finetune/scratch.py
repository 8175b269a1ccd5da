"""A convolutional network to be trained from nothing, as a study writes it layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from features.backbones.build import fresh_keras
from features.errors import UserError

if TYPE_CHECKING:
    import keras

OPTIONS: dict[str, tuple[str, ...]] = {
    "conv": ("kernel", "padding", "activation"),
    "pool": (),
    "batch_normalization": (),
    "dropout": (),
    "activation": (),
}
"""The layers, and what may stand beside each in its entry."""

PADDINGS = ("same", "valid")


def check(layers: Sequence[Any]) -> None:
    """Refuses what is no list of layers.

    Args:
        layers: One entry a layer, from the images on: `{"conv": 32, "kernel": 3, "padding": "same",
            "activation": "relu"}`, `{"pool": 2}` (the largest of 2 x 2), `batch_normalization`,
            `{"dropout": 0.25}`, `{"activation": "relu"}`.

    Raises:
        UserError: It names the layer and what is allowed.
    """
    for number, entry in enumerate(layers, start=1):
        kind, value, options = parts(entry)
        where = f"network: layer {number} ({entry!r})"
        if kind is None:
            raise UserError(f"{where}: no layer; allowed: {', '.join(OPTIONS)}")
        unknown = [name for name in options if name not in OPTIONS[kind]]
        if unknown:
            allowed = ", ".join(OPTIONS[kind]) or "none"
            raise UserError(
                f"{where}: {kind} takes no option {unknown[0]!r}; allowed: {allowed}. Each layer "
                "is an entry of its own"
            )
        sizes = {"conv": value, "pool": value, "kernel": options.get("kernel", 3)}
        for name in ("conv", "pool", "kernel"):
            if name in (kind, *options) and not (_whole(sizes[name]) and sizes[name] > 0):
                raise UserError(f"{where}: {sizes[name]!r} is no whole number above 0")
        if kind == "dropout" and not (isinstance(value, int | float) and 0 <= value < 1):
            raise UserError(f"{where}: {value!r} is no share; give a number from 0 to below 1")
        if options.get("padding", "valid") not in PADDINGS:
            raise UserError(f"{where}: padding is one of {', '.join(PADDINGS)}")


def parts(entry: Any) -> tuple[str | None, Any, dict[str, Any]]:
    """The layer that an entry names, its value, and its options."""
    fields = {entry: None} if isinstance(entry, str) else dict(entry)
    kind = next((kind for kind in OPTIONS if kind in fields), None)
    return kind, fields.pop(str(kind), None), fields


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def build(layers: Sequence[Any], size: tuple[int, int], policy: str = "float32") -> keras.Model:
    """Builds the network, every weight drawn at random.

    Args:
        layers: As `check` takes them.
        size: Height and width in pixels.
        policy: Keras' dtype policy: "float32" or "mixed_bfloat16".

    Returns:
        A frozen model from preprocessed images, float32 (batch, *size, 3), to what the last gives.

    Raises:
        UserError: The images are too small for all of it.
    """
    with fresh_keras(policy):
        network = _built(layers, size)
    network.trainable = False
    return network


def _built(layers: Sequence[Any], size: tuple[int, int]) -> keras.Model:
    import keras

    inputs = keras.Input((*size, 3), name="images")
    outputs: Any = inputs
    for entry in layers:
        kind, value, options = parts(entry)
        assert kind is not None
        try:
            outputs = _layer(kind, value, options)(outputs)
        except ValueError as error:
            raise UserError(
                f"network: images of {size[0]} x {size[1]} are too small for it; at {entry!r} "
                f"nothing is left of {tuple(outputs.shape[1:3])}"
            ) from error
    return keras.Model(inputs, outputs, name="network")


def _layer(kind: str, value: Any, options: Mapping[str, Any]) -> keras.layers.Layer:
    from keras import layers

    if kind == "conv":
        return layers.Conv2D(
            value,
            options.get("kernel", 3),
            padding=options.get("padding", "valid"),
            activation=options.get("activation", "relu"),
        )
    if kind == "pool":
        return layers.MaxPooling2D(value)
    if kind == "batch_normalization":
        return layers.BatchNormalization()
    return layers.Dropout(value) if kind == "dropout" else layers.Activation(value)

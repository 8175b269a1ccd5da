"""The hidden layers of a dense head, as a study writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from features.errors import UserError

OPTIONS: dict[str, tuple[str, ...]] = {
    "dense": ("activation", "l1", "l2"),
    "batch_normalization": (),
    "dropout": (),
    "activation": (),
}
"""The layers, and what may stand beside each in its entry."""

ACTIVATIONS = ("relu", "elu", "gelu", "leaky_relu", "linear", "selu", "sigmoid", "silu", "tanh")


def short_form(hidden: Sequence[int], dropout: float) -> list[dict[str, Any]]:
    """Dense layers with ReLU, each followed by dropout where there is any.

    Raises:
        UserError: A width or the share to drop is none.
    """
    stack: list[dict[str, Any]] = []
    for width in hidden:
        stack.append({"dense": width})
        if dropout:
            stack.append({"dropout": dropout})
    check(stack, "hidden, dropout")
    return stack


def check(stack: Sequence[Any], name: str = "stack") -> None:
    """Refuses what is no stack of layers.

    Args:
        stack: One entry a layer, from the features to the classes: a mapping of the layer's name to
            what it takes, with its options beside: `{"dense": 256, "activation": "relu", "l1": 0,
            "l2": 0.001}`, `{"batch_normalization": {}}`, `{"dropout": 0.5}`, or
            `{"activation": "relu"}`. A layer that takes nothing may be its name alone.
        name: The setting, for the message.

    Raises:
        UserError: A layer or an option is unknown, or a value impossible; it names what is allowed.
    """
    if isinstance(stack, str | Mapping) or not isinstance(stack, Sequence):
        raise UserError(f"{name}: {stack!r} is no list of layers; give one entry a layer")
    for number, entry in enumerate(stack, start=1):
        _check_layer(f"{name}: layer {number} ({entry!r})", entry)


def _check_layer(where: str, entry: Any) -> None:
    if not isinstance(entry, str | Mapping):
        raise UserError(f"{where}: no layer; give a mapping such as {{dense: 256}}")
    kind, options = _parts(entry)
    if kind is None:
        named = ", ".join(map(repr, options)) or "nothing"
        raise UserError(f"{where}: no layer {named}; allowed: {', '.join(OPTIONS)}")
    value = options.pop(kind)
    unknown = [option for option in options if option not in OPTIONS[kind]]
    if unknown:
        allowed = ", ".join(OPTIONS[kind]) or "none"
        raise UserError(
            f"{where}: {kind} takes no option {unknown[0]!r}; allowed: {allowed}. Each layer is an "
            "entry of its own"
        )
    if kind == "dense" and not (_whole(value) and value > 0):
        raise UserError(f"{where}: {value!r} is no width; give a whole number above 0")
    if kind == "dropout" and not (_number(value) and 0 <= value < 1):
        raise UserError(f"{where}: {value!r} is no share; give a number from 0 to below 1")
    if kind == "batch_normalization" and value not in ({}, None):
        raise UserError(f"{where}: {kind} takes nothing; write {{{kind}: {{}}}}")
    activation = value if kind == "activation" else options.get("activation", "relu")
    if activation not in ACTIVATIONS:
        raise UserError(f"{where}: no activation {activation!r}; allowed: {', '.join(ACTIVATIONS)}")
    for penalty in ("l1", "l2"):
        rate = options.get(penalty, 0)
        if not (_number(rate) and rate >= 0):
            raise UserError(f"{where}: {penalty}={rate!r}; give a number of 0 or above")


def _parts(entry: str | Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The layer that an entry names, and all that stands in it."""
    fields = {entry: None} if isinstance(entry, str) else dict(entry)
    return next((kind for kind in OPTIONS if kind in fields), None), fields


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def apply(stack: Sequence[Any], outputs: Any) -> Any:
    """Puts the layers on a Keras tensor (n, features), one after another; gives the last's output.

    Args:
        stack: Layers that `check` has passed.
        outputs: What the first layer takes.
    """
    import keras

    for entry in stack:
        kind, options = _parts(entry)
        value = options.pop(str(kind))
        if kind == "dense":
            layer = keras.layers.Dense(
                value,
                activation=options.get("activation", "relu"),
                kernel_regularizer=_penalty(options.get("l1", 0), options.get("l2", 0)),
            )
        elif kind == "batch_normalization":
            layer = keras.layers.BatchNormalization()
        elif kind == "dropout":
            layer = keras.layers.Dropout(value)
        else:
            layer = keras.layers.Activation(value)
        outputs = layer(outputs)
    return outputs


def _penalty(l1: float, l2: float) -> Any:
    """l1 times the sum of the weights' sizes, plus l2 times that of their squares, or None."""
    import keras

    if not (l1 or l2):
        return None
    return keras.regularizers.L1L2(l1=l1, l2=l2)

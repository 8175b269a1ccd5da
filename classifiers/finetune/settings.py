"""What a fine-tuning may be told, checked before Keras is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from classifiers.network import schedule as schedules
from classifiers.network import stack as stacks
from features.errors import UserError

DEFAULTS: dict[str, Any] = {
    "unfreeze": "all",
    "batch_norm": "frozen",
    "stack": [],
    "layers": "last",
    "optimizer": "adam",
    "learning_rate": 1e-4,
    "schedule": "constant",
    "label_smoothing": 0.0,
    "epochs": 10,
    "batch_size": 64,
    "monitor": "accuracy",
    "patience": None,
    "augmentation": {},
    "mixup": 0.0,
    "cutmix": 0.0,
    "views": ["identity"],
    "precision": "exact",
}
"""Every setting of a fine-tuning with its default."""

GRADIENTS = ("logistic", "svm", "ridge", "lda", "nearest_mean", "dense")
"""Types of heads that gradients can train further, so that a fine-tuning may start from them."""

AUGMENTATIONS = {
    "flip": "horizontal, vertical or both",
    "rotation": "degrees to either side, up to 180",
    "shift": "a share of height and width, up to 1",
    "zoom": "a share, below 1",
    "brightness": "two factors, as in [0.8, 1.2]",
    "randaugment": "its strength, up to 1",
    "fill": "reflect, nearest, constant or wrap",
}
"""What may be drawn of each image, and what it takes."""

FLIPS = ("horizontal", "vertical", "both")
FILLS = ("reflect", "nearest", "constant", "wrap")
MOST = {"rotation": 180, "shift": 1, "zoom": 1, "randaugment": 1}


def check(settings: Mapping[str, Any]) -> None:
    """Refuses settings that make no fine-tuning.

    Args:
        settings: Each key of `DEFAULTS` with a value.

    Raises:
        UserError: It names the setting and what is allowed.
    """
    check_unfreeze(settings["unfreeze"])
    check_augmentation(settings["augmentation"])
    stacks.check(settings["stack"])
    schedules.parsed(settings["schedule"])
    if settings["patience"] is not None and settings["monitor"] is None:
        raise UserError("patience: nothing is watched; set `monitor` to accuracy or loss")
    if settings["mixup"] and settings["cutmix"]:
        raise UserError("mixup, cutmix: one image in two ways at once; take one of them")


def check_unfreeze(unfreeze: Any) -> None:
    """Refuses what names no layers to train; whether a backbone has them is seen later.

    Args:
        unfreeze: "all", "none", `{"last": k}`, or `{"from": a layer's name or index}`.

    Raises:
        UserError: It says what is allowed.
    """
    if unfreeze in ("all", "none"):
        return
    if isinstance(unfreeze, Mapping) and len(unfreeze) == 1:
        ((key, value),) = unfreeze.items()
        whole = isinstance(value, int) and not isinstance(value, bool)
        if key == "last" and whole and value > 0:
            return
        if key == "from" and ((whole and value >= 0) or isinstance(value, str)):
            return
    raise UserError(
        f"unfreeze: {unfreeze!r}; allowed: all, none, {{last: 20}} for the last 20 layers, "
        "{from: 143} for layer 143 and all behind it, {from: conv5_block1_1_conv} for the same by "
        "name"
    )


def check_augmentation(augmentation: Any) -> None:
    """Refuses what cannot be drawn of an image.

    Args:
        augmentation: Some of `AUGMENTATIONS`, drawn in the order in which they stand.

    Raises:
        UserError: It names what is wrong, and what is allowed.
    """
    if not isinstance(augmentation, Mapping):
        raise UserError(f"augmentation: {augmentation!r} is no mapping; as in {{flip: horizontal}}")
    for name, value in augmentation.items():
        if name not in AUGMENTATIONS:
            near = difflib.get_close_matches(str(name), AUGMENTATIONS, 1)
            hint = f" (do you mean {near[0]!r}?)" if near else ""
            raise UserError(f"augmentation: no {name!r}{hint}; allowed: {', '.join(AUGMENTATIONS)}")
        if not _possible(name, value):
            raise UserError(f"augmentation.{name}: {value!r}; it takes {AUGMENTATIONS[name]}")


def _possible(name: str, value: Any) -> bool:
    if name == "flip":
        return value in FLIPS
    if name == "fill":
        return value in FILLS
    if name == "brightness":
        return (
            isinstance(value, Sequence)
            and len(value) == 2
            and all(_number(factor) for factor in value)
            and 0 <= value[0] <= value[1]
        )
    return _number(value) and 0 < value <= MOST[name] and (name != "zoom" or value < 1)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

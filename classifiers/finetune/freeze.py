"""Which layers of a backbone train, and where the frozen part of its graph ends."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.backbones.stages import articulations
from features.errors import UserError

if TYPE_CHECKING:
    import keras


def unfreeze(backbone: keras.Model, which: Any, batch_norm: str) -> None:
    """Makes some layers of a frozen backbone trainable.

    BatchNormalization is left in inference mode by its own `trainable`, and by nothing else:
    `training=False` at the call of a backbone does not hold it there once an outer model trains.

    Args:
        backbone: Frozen; its layers are counted as `keras.Model.layers` counts them, from 0.
        which: As `classifiers.finetune.settings.check_unfreeze` takes it.
        batch_norm: "frozen" leaves every BatchNormalization as it is, its scale and offset too;
            "train" has those of the chosen layers learn, and take the statistics of each batch.

    Raises:
        UserError: The backbone has no such layer.
    """
    import keras

    layers = list(backbone.layers)
    chosen = layers[first_layer([layer.name for layer in layers], which) :]
    # The model's own flag would hold all its layers.
    backbone.trainable = True
    for layer in backbone.layers:
        layer.trainable = any(layer is one for one in chosen)
    if batch_norm == "frozen":
        for layer in backbone._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False


def first_layer(names: Sequence[str], which: Any) -> int:
    """The index of the first layer that trains; that after the last where none does.

    Args:
        names: The backbone's layers.
        which: As for `unfreeze`.

    Raises:
        UserError: There is no such layer.
    """
    count = len(names)
    if which in ("all", "none"):
        return 0 if which == "all" else count
    assert isinstance(which, Mapping)
    ((key, value),) = which.items()
    if key == "last":
        if value > count:
            raise UserError(f"unfreeze: the last {value} layers of a backbone that has {count}")
        return count - int(value)
    if isinstance(value, int):
        if value >= count:
            raise UserError(
                f"unfreeze: no layer {value}; the backbone has {count}, which are 0 ({names[0]}) "
                f"to {count - 1} ({names[-1]})"
            )
        return value
    if value not in names:
        near = difflib.get_close_matches(value, names, 3, 0.4) or list(names[-3:])
        raise UserError(
            f"unfreeze: no layer {value!r}; nearest of the backbone's {count} are {', '.join(near)}"
        )
    return list(names).index(value)


@dataclass(frozen=True)
class Cut:
    """A backbone in two: what no trained weight changes, and the rest.

    Attributes:
        crossing: Operations of the frozen part whose outputs the rest begins with.
        static: Wanted operations that lie in the frozen part.
        moving: Wanted operations that lie in the rest.
        frozen: All operations of the frozen part, by depth.
        trained: All operations of the rest that the wanted ones depend on, by depth.
    """

    crossing: tuple[str, ...]
    static: tuple[str, ...]
    moving: tuple[str, ...]
    frozen: tuple[str, ...]
    trained: tuple[str, ...]


def cut(backbone: keras.Model, wanted: Sequence[str]) -> Cut:
    """Finds the boundary: the last outputs that no trained weight can change.

    Within a block of several branches that is more than one tensor.

    Args:
        backbone: Some of its layers trainable.
        wanted: The operations whose outputs are seen.
    """
    operations = list(backbone.operations)
    parents = {operation.name: _parents(operation) for operation in operations}
    needed: set[str] = set()
    left = list(wanted)
    while left:
        name = left.pop()
        if name not in needed:
            needed.add(name)
            left += parents[name]
    changed: set[str] = set()
    for operation in operations:
        own = getattr(operation, "trainable_variables", [])
        if own or any(parent in changed for parent in parents[operation.name]):
            changed.add(operation.name)
    order = [operation.name for operation in operations if operation.name in needed]
    trained = tuple(name for name in order if name in changed)
    fed = {parent for name in trained for parent in parents[name]}
    return Cut(
        crossing=tuple(name for name in order if name in fed and name not in changed),
        static=tuple(name for name in wanted if name not in changed),
        moving=tuple(name for name in wanted if name in changed),
        frozen=tuple(name for name in order if name not in changed),
        trained=trained,
    )


def _parents(operation: Any) -> list[str]:
    return [
        parent.operation.name
        for node in operation._inbound_nodes
        for parent in node.parent_nodes
        if parent.operation is not None
    ]


def single_boundaries(backbone: keras.Model, boundary: Cut) -> list[str]:
    """Layers at which the backbone could be cut through one tensor: the nearest before and behind.

    Args:
        backbone: What was cut.
        boundary: Where, through several.
    """
    through = [operation.name for operation in articulations(backbone)]
    order = [operation.name for operation in backbone.operations]
    first = order.index(boundary.trained[0])
    before = [name for name in through if order.index(name) < first]
    behind = [name for name in through if order.index(name) > first]
    return before[-1:] + behind[:1]


def quiet(backbone: keras.Model, boundary: Cut) -> None:
    """Has dropout in the frozen part drop nothing, as when features are computed.

    `fit` puts every layer that it reaches into training mode.
    """
    frozen = set(boundary.frozen)
    for outer in backbone.layers:
        for layer in outer._flatten_layers() if outer.name in frozen else ():
            if type(layer).__name__.endswith("Dropout"):
                layer.rate = 0.0

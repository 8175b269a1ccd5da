"""A backbone with its top as one model, from images or from the boundary of what is frozen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from classifiers.finetune.cost import Cost, boundary_values, count
from classifiers.finetune.freeze import Cut, cut, quiet, single_boundaries
from classifiers.finetune.tops import Top
from classifiers.mount.trunks import rounded
from features.backbones.pooled import preprocess, resize_in_graph
from features.backbones.spec import BackboneSpec
from features.cache.layout import SPATIAL

if TYPE_CHECKING:
    import keras

Tensor = Any


@dataclass(frozen=True)
class Network:
    """One network, to be begun at three places; the weights are the same.

    Attributes:
        live: From images, float32 (batch, height, width, 3), 0 to 255, to float32 logits (batch,
            classes).
        resized: The same from images at the backbone's size.
        tail: The same from what `keys` name; None where nothing is frozen, or what is frozen ends
            in something that no features file keeps.
        keys: View and layer of each of the tail's inputs, as features files name them.
        boundary: Where the frozen part ends.
        values: How many numbers the boundary of an image is.
        branches: Where the boundary lies within a block of several branches, what to say of it.
        dimensions: How many numbers the top sees of an image.
        cost: What both parts cost.
        frozen: The weights that no training of these changes.
    """

    live: keras.Model
    resized: keras.Model
    tail: keras.Model | None
    keys: tuple[tuple[str, str], ...]
    boundary: Cut
    values: int
    branches: str | None
    dimensions: int
    cost: Cost
    frozen: tuple[Any, ...]


def assemble(
    backbone: keras.Model,
    spec: BackboneSpec,
    top: Top,
    image_size: tuple[int, int] | None,
) -> Network:
    """Puts resize, preprocessing, backbone and top together.

    Args:
        backbone: On preprocessed images, those of its layers trainable that are to train.
        spec: How images are resized and preprocessed for it, and how features are kept.
        top: What stands on it.
        image_size: Height and width of the images as they come; None where they come at the
            backbone's size.
    """
    import keras

    wanted = list(dict.fromkeys(layer.removeprefix(SPATIAL) for layer in top.layers))
    boundary = cut(backbone, wanted)
    quiet(backbone, boundary)
    outputs = {operation.name: operation.output for operation in backbone.operations}
    below = list(dict.fromkeys((*boundary.crossing, *boundary.static)))
    lower = keras.Model(backbone.inputs, [outputs[name] for name in below], name="frozen")
    upper = None
    if boundary.moving:
        upper = keras.Model(
            [outputs[name] for name in boundary.crossing],
            [outputs[name] for name in boundary.moving],
            name="trained",
        )

    def above(crossing: dict[str, Tensor]) -> dict[str, Tensor]:
        """The wanted layers that lie above the boundary."""
        if upper is None:
            return {}
        found = upper([crossing[name] for name in boundary.crossing])
        return dict(zip(boundary.moving, keras.tree.flatten(found), strict=True))

    seen = [(view, layer) for view in top.views for layer in top.layers]
    head = _head(top, seen, outputs)
    cost = count(backbone, boundary, head)
    values, branches = boundary_values(backbone, boundary), _branches(backbone, boundary, cost)

    images = keras.Input((*spec.size, 3), dtype="float32", name="resized")
    stored: dict[tuple[str, str], Tensor] = {}
    for view in top.views:
        shown = keras.ops.flip(images, axis=2) if view == "mirror" else images
        found = lower(preprocess(shown, spec.preprocessing))
        tensors = dict(zip(below, keras.tree.flatten(found), strict=True))
        tensors |= above(tensors)
        for layer in top.layers:
            stored[view, layer] = _kept(tensors[layer.removeprefix(SPATIAL)], layer, spec)
    resized = keras.Model(images, head([stored[key] for key in seen]), name="resized")

    keys, tail = _tail(top, boundary, cost, outputs, above, head, spec)
    return Network(
        live=_live(resized, spec, image_size),
        resized=resized,
        tail=tail,
        keys=keys,
        boundary=boundary,
        values=values,
        branches=branches,
        dimensions=sum(math.prod(seen.shape[1:]) for seen in head.inputs) // len(top.views),
        cost=cost,
        frozen=tuple(lower.weights),
    )


def _branches(backbone: keras.Model, boundary: Cut, cost: Cost) -> str | None:
    if len(boundary.crossing) < 2 or not cost.frozen:
        return None
    whole = " or ".join(single_boundaries(backbone, boundary))
    return (
        f"the first layer that trains lies within a block of several branches: the boundary is "
        f"{len(boundary.crossing)} layers ({', '.join(boundary.crossing)}); begin behind {whole}, "
        "and it is one"
    )


def _head(top: Top, seen: list[tuple[str, str]], outputs: dict[str, Tensor]) -> keras.Model:
    """The top as a model of its own, so that it is made once."""
    import keras

    inputs = {}
    for number, (view, layer) in enumerate(seen):
        shape = outputs[layer.removeprefix(SPATIAL)].shape[1:]
        kept = shape if layer.startswith(SPATIAL) else shape[-1:]
        inputs[view, layer] = keras.Input(kept, dtype="float32", name=f"seen_{number}")
    logits = top.logits(lambda view, layer: inputs[view, layer])
    return keras.Model(list(inputs.values()), logits, name="top")


def _kept(tensor: Tensor, layer: str, spec: BackboneSpec) -> Tensor:
    """A layer's output as a features file keeps it, pooled or not."""
    import keras

    if layer.startswith(SPATIAL):
        values = keras.ops.cast(tensor, "float32")
    else:
        values = keras.layers.GlobalAveragePooling2D(dtype="float32")(tensor)
    return rounded(values) if spec.dtype == "float16" else values


def _tail(
    top: Top,
    boundary: Cut,
    cost: Cost,
    outputs: dict[str, Tensor],
    above: Any,
    head: keras.Model,
    spec: BackboneSpec,
) -> tuple[tuple[tuple[str, str], ...], keras.Model | None]:
    import keras

    spatial = [SPATIAL + name for name in boundary.crossing]
    static = [layer for layer in top.layers if layer.removeprefix(SPATIAL) in boundary.static]
    keys = tuple(
        (view, layer) for view in top.views for layer in dict.fromkeys([*spatial, *static])
    )
    odd = any(len(outputs[name].shape) != 4 for name in boundary.crossing)
    if odd or not cost.frozen:
        return keys, None
    inputs = {}
    for number, (view, layer) in enumerate(keys):
        shape = outputs[layer.removeprefix(SPATIAL)].shape[1:]
        kept = shape if layer.startswith(SPATIAL) else shape[-1:]
        inputs[view, layer] = keras.Input(kept, dtype="float32", name=f"kept_{number}")
    stored = {}
    for view in top.views:
        moving = above({name: inputs[view, SPATIAL + name] for name in boundary.crossing})
        for layer in top.layers:
            name = layer.removeprefix(SPATIAL)
            stored[view, layer] = (
                _kept(moving[name], layer, spec) if name in moving else inputs[view, layer]
            )
    seen = [stored[view, layer] for view in top.views for layer in top.layers]
    return keys, keras.Model(list(inputs.values()), head(seen), name="tail")


def _live(
    resized: keras.Model, spec: BackboneSpec, image_size: tuple[int, int] | None
) -> keras.Model:
    import keras

    if image_size is None or image_size == spec.size:
        return resized
    images = keras.Input((*image_size, 3), dtype="float32", name="images")
    return keras.Model(images, resized(resize_in_graph(images, image_size, spec)), name="live")

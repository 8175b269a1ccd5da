"""The part of a mounted model that lies behind its resizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def behind_the_resizes(model: keras.Model) -> tuple[keras.Model, list[dict[str, Any]]]:
    """A mounted model that takes images of any size, from where all are of one.

    Behind it images of different sizes make one batch, of a shape that is known, and a large
    photograph never enters the graph.

    Args:
        model: As `classifiers.mount.mount` makes it without an image size.

    Returns:
        A model of one input for each backbone and view, float32 (batch, height, width, 3), 0 to
        255; and of each input the view and the arguments of `features.resize.resize`.
    """
    import keras

    resizes = [layer for layer in model.layers if isinstance(layer, keras.layers.Resizing)]
    inputs = [
        {
            "view": layer.name.rpartition("_")[2],
            "size": [layer.height, layer.width],
            "interpolation": layer.interpolation,
            "mode": _mode(layer),
            "antialias": bool(layer.antialias),
        }
        for layer in resizes
    ]
    return keras.Model([layer.output for layer in resizes], model.output, name="behind"), inputs


def _mode(layer: keras.layers.Resizing) -> str:
    if layer.crop_to_aspect_ratio:
        return "crop"
    return "pad" if layer.pad_to_aspect_ratio else "stretch"

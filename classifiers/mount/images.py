"""Images as a backbone sees them, inside the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classifiers.mount.layers import resizing
from features.backbones.spec import BackboneSpec
from features.resize import matrices

if TYPE_CHECKING:
    import keras


def images_seen(
    images: keras.KerasTensor,
    view: str,
    image_size: tuple[int, int] | None,
    spec: BackboneSpec,
    name: str = "resize",
) -> keras.KerasTensor:
    """Images in a view, resized for a backbone as the pass resizes them.

    Args:
        images: float32 (batch, height, width, 3), 0 to 255.
        view: "identity" or "mirror".
        image_size: Height and width of the images; None where they may be of any size, and then
            Keras' own layer resizes, which is as the pass does it on TensorFlow alone.
        spec: The size to come to, and how.
        name: What the name of Keras' layer begins with; it ends in the view.

    Returns:
        float32 (batch, *size, 3).
    """
    from keras import layers, ops

    # Before the resize, as in the pass: a crop need not be symmetric.
    seen = ops.flip(images, axis=2) if view == "mirror" else images
    if image_size is None:
        return layers.Resizing(
            *spec.size,
            interpolation=spec.interpolation,
            crop_to_aspect_ratio=spec.resize == "crop",
            pad_to_aspect_ratio=spec.resize == "pad",
            antialias=spec.antialias,
            name=f"{name}_{view}",
        )(seen)
    if image_size == spec.size:
        return seen
    rows, columns = matrices(image_size, spec.size, spec.interpolation, spec.resize, spec.antialias)
    return resizing(columns.T, axis=2)(resizing(rows.T, axis=1)(seen))

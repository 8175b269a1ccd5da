"""All about a backbone that decides a feature's value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone as a study describes it, defaults filled in.

    Attributes:
        architecture: A key of `ARCHITECTURES`, "local" for a whole Keras model in a file, or "hub"
            for a preset of KerasHub in a folder.
        alpha: The width multiplier; 1 where the architecture takes none.
        size: Height and width in pixels to which every image is resized.
        resize: "stretch" to the size, "pad" or "crop" to keep the aspect ratio.
        interpolation: A method of `keras.layers.Resizing`.
        preprocessing: A key of `PREPROCESSING`, applied after the resize.
        weights: "imagenet" and the file's name, "embedded", "random", or the sha256 of a file or
            of a preset's files.
        views: The views of each image, in the order in which they are stored; see
            `features.views`.
        spatial: Layers to keep unpooled as well, by name; "last" is the backbone's last.
        antialias: Whether what the resize makes smaller is smoothed first.
        dtype: What features are stored as: "float16" or "float32".
        precision: "fast" (bfloat16 where the hardware has it) or "exact" (float32).
    """

    architecture: str
    alpha: float
    size: tuple[int, int]
    resize: str
    interpolation: str
    preprocessing: str
    weights: str
    views: tuple[str, ...]
    spatial: tuple[str, ...] = ()
    antialias: bool = False
    dtype: str = "float16"
    precision: str = "fast"

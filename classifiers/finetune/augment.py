"""What is drawn anew of each image in each epoch, by Keras' own preprocessing layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

Augment = Callable[[np.ndarray, np.ndarray, tuple[int, ...]], tuple[Any, Any]]
"""From images (batch, height, width, 3), 0 to 255, targets (batch, classes) and what seeds the
draw, to both as a step is to see them, float32."""


def augmentation(settings: Mapping[str, Any], mixup: float, cutmix: float) -> Augment | None:
    """What draws a batch; None where nothing is to be drawn.

    Equal seeds give equal draws, whatever was drawn before: an interrupted training goes on as if
    it had not been.

    Args:
        settings: As `classifiers.finetune.settings.check_augmentation` takes them.
        mixup: The alpha of MixUp (Zhang et al. 2018, mixup: beyond empirical risk minimization); 0
            for none.
        cutmix: The factor of CutMix (Yun et al. 2019, CutMix); 0 for none.
    """
    import keras

    layers = [
        _layer(name, value, settings.get("fill", "reflect"))
        for name, value in settings.items()
        if name != "fill"
    ]
    mixes: list[keras.layers.Layer] = []
    if mixup:
        mixes.append(keras.layers.MixUp(mixup))
    if cutmix:
        mixes.append(keras.layers.CutMix(cutmix))
    if not layers and not mixes:
        return None
    generators = [layer.generator for layer in _with_inner([*layers, *mixes])]

    def drawn(images: Any, targets: Any) -> tuple[Any, Any]:
        for layer in layers:
            images = layer(images, training=True)
        for mix in mixes:
            both = mix({"images": images, "labels": targets}, training=True)
            images, targets = both["images"], both["labels"]
        return images, targets

    compiled = _compiled(drawn)

    def augment(images: np.ndarray, targets: np.ndarray, seed: tuple[int, ...]) -> tuple[Any, Any]:
        states = np.random.default_rng(seed).integers(0, 2**31, (len(generators), 2))
        for generator, state in zip(generators, states, strict=True):
            generator.state.assign(state.astype(np.uint32))
        seen, wanted = compiled(images.astype(np.float32), targets.astype(np.float32))
        return seen, wanted

    return augment


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same as a graph where Keras runs on TensorFlow, which is much faster."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    compiled: Callable[..., Any] = tf.function(function, reduce_retracing=True)
    return compiled


def _with_inner(layers: list[keras.layers.Layer]) -> list[keras.layers.Layer]:
    """The layers that draw, those inside others too."""
    return [
        inner
        for layer in layers
        for inner in layer._flatten_layers()
        if hasattr(inner, "generator")
    ]


def _layer(name: str, value: Any, fill: str) -> keras.layers.Layer:
    from keras import layers

    if name == "flip":
        return layers.RandomFlip("horizontal_and_vertical" if value == "both" else value)
    if name == "rotation":
        return layers.RandomRotation(value / 360, fill_mode=fill)
    if name == "shift":
        return layers.RandomTranslation(value, value, fill_mode=fill)
    if name == "zoom":
        return layers.RandomZoom(value, fill_mode=fill)
    if name == "randaugment":
        return layers.RandAugment(factor=value)
    return _brightness(*value)


def _brightness(low: float, high: float) -> keras.layers.Layer:
    """Multiplies an image by a factor; Keras' own layer adds one value to all pixels instead."""
    import keras

    class Brightness(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.generator = keras.random.SeedGenerator(0)

        def call(self, images: Any, training: bool = False) -> Any:
            shape = (keras.ops.shape(images)[0], 1, 1, 1)
            factor = keras.random.uniform(shape, low, high, seed=self.generator)
            return keras.ops.clip(images * factor, 0, 255)

    return Brightness()

"""One contract for every backbone of the registry, with random weights."""

from __future__ import annotations

import importlib
from pathlib import Path

import keras
import numpy as np
import pytest

from features.backbones.build import build_backbone
from features.backbones.pooled import pooled_model
from features.backbones.registry import ARCHITECTURES
from features.backbones.spec import BackboneSpec
from features.backbones.stages import stages
from features.engines import FLOAT32_TOLERANCE, prepare
from features.engines.graph import Graph

HUGE = ("ConvNeXtLarge", "ConvNeXtXLarge", "NASNetLarge", "EfficientNetB7", "EfficientNetV2L")
"""Above 60 million parameters, or slow to compile: built, but not run on an engine."""

FAMILIES = {
    architecture.module: name
    for name, architecture in reversed(ARCHITECTURES.items())
    if name not in HUGE
}
"""The first, smallest, of each."""

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 40, 56, 3), dtype=np.uint8)


def spec_of(name: str, **changes: object) -> BackboneSpec:
    """A backbone at its smallest, and a resize that does not commute with preprocessing."""
    architecture = ARCHITECTURES[name]
    side = architecture.minimum_size
    fields: dict[str, object] = {
        "architecture": name,
        "alpha": min(architecture.alphas, default=1.0),
        "size": (side, side),
        "resize": "pad",
        "interpolation": "bilinear",
        "preprocessing": architecture.preprocessing,
        "weights": "random",
        "views": ("identity",),
        "precision": "exact",
        "dtype": "float32",
    }
    return BackboneSpec(**(fields | changes))  # type: ignore[arg-type]


def by_keras(backbone: keras.Model, spec: BackboneSpec, names: list[str]) -> list[np.ndarray]:
    """The same by Keras' own steps: resize, its module's preprocessing, backbone, average."""
    module = ARCHITECTURES[spec.architecture].module or "mobilenet_v2"
    preprocess = importlib.import_module(f"keras.applications.{module}").preprocess_input
    resize = keras.layers.Resizing(*spec.size, pad_to_aspect_ratio=True)
    pixels = preprocess(np.array(resize(IMAGES.astype(np.float32))))
    outputs = {operation.name: operation.output for operation in backbone.operations}
    model = keras.Model(backbone.inputs, [outputs[name] for name in names])
    return [np.asarray(layer).mean(axis=(1, 2)) for layer in model(pixels, training=False)]


def assert_close(ours: np.ndarray, theirs: np.ndarray) -> None:
    # Random weights can make deep activations very small: relative to their own size.
    size = np.linalg.norm(theirs) + 1e-30
    assert np.linalg.norm(ours - theirs) / size < FLOAT32_TOLERANCE


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_contract(name: str) -> None:
    spec = spec_of(name)
    backbone = build_backbone(spec, None)
    outputs = {operation.name: operation.output for operation in backbone.operations}

    found = stages(backbone)
    assert 4 <= len(found) == len(set(found)) <= 12
    assert outputs[found[-1]] is backbone.outputs[0]
    heights = [outputs[layer].shape[1] for layer in found]
    assert heights == sorted(heights, reverse=True)

    model, names = pooled_model(backbone, spec, IMAGES.shape[1:3])
    assert names == found
    assert [tensor.shape for tensor in model.outputs] == [
        (None, outputs[layer].shape[-1]) for layer in found
    ]
    assert not model.trainable_weights
    if name in HUGE:
        return

    for layer, expected in zip(model(IMAGES), by_keras(backbone, spec, names), strict=True):
        assert_close(np.asarray(layer), expected)
    # BatchNormalization keeps its statistics even where an outer model trains.
    before = [np.array(weight) for weight in model.non_trainable_weights]
    model(IMAGES, training=True)
    for weight, was in zip(model.non_trainable_weights, before, strict=True):
        np.testing.assert_array_equal(weight, was)


@pytest.mark.parametrize("name", FAMILIES.values())
def test_a_linear_head_on_the_features_is_the_same_head_on_the_live_model(
    name: str, tmp_path: Path
) -> None:
    spec = spec_of(name)
    prepared = prepare("tensorflow", Graph(spec, None, IMAGES.shape[1:3], 0), tmp_path, 2)
    engine = prepared.compile(list(prepared.layers))
    (computed,) = engine.run([IMAGES])
    features = np.concatenate(computed, axis=1)
    features_std = features.std() + 1e-30

    model, _ = pooled_model(build_backbone(spec, None), spec, IMAGES.shape[1:3])
    head = keras.layers.Dense(5, kernel_initializer="random_normal")
    live = keras.Model(model.input, head(keras.layers.Concatenate()(model.outputs)))
    scores = features @ np.asarray(head.kernel) + np.asarray(head.bias)
    np.testing.assert_allclose(
        scores, np.asarray(live(IMAGES)), rtol=1e-3, atol=1e-3 * features_std
    )


def test_names_do_not_depend_on_what_was_built_before() -> None:
    once = stages(build_backbone(spec_of("InceptionV3"), None))
    again = stages(build_backbone(spec_of("InceptionV3"), None))
    assert once == again

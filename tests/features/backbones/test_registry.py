"""One contract for every backbone of the registry."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from features.backbones.build import build_backbone
from features.backbones.pooled import preprocess
from features.backbones.registry import ARCHITECTURES, PREPROCESSING, imagenet_file
from features.backbones.spec import BackboneSpec
from features.backbones.stages import stages

IMAGENET = [name for name, architecture in ARCHITECTURES.items() if architecture.module]


def spec_of(name: str, side: int, **changes: object) -> BackboneSpec:
    architecture = ARCHITECTURES[name]
    fields: dict[str, object] = {
        "architecture": name,
        "alpha": 0.35 if architecture.takes_alpha else 1.0,
        "size": (side, side),
        "resize": "stretch",
        "interpolation": "bilinear",
        "preprocessing": architecture.preprocessing,
        "weights": "random",
        "views": ("identity",),
    }
    return BackboneSpec(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_builds_at_its_minimum_size_with_stages_that_end_in_the_last_layer(name: str) -> None:
    architecture = ARCHITECTURES[name]
    backbone = build_backbone(spec_of(name, architecture.minimum_size), None)

    found = stages(backbone)

    outputs = {operation.name: operation.output for operation in backbone.operations}
    assert len(found) == len(set(found)) >= 4
    assert outputs[found[-1]] is backbone.outputs[0]
    heights = [outputs[layer].shape[1] for layer in found]
    assert heights == sorted(heights, reverse=True)
    assert all(len(outputs[layer].shape) == 4 for layer in found)
    assert not backbone.trainable_weights


@pytest.mark.parametrize("name", IMAGENET)
def test_preprocessing_is_that_of_keras(name: str) -> None:
    module = importlib.import_module(f"keras.applications.{ARCHITECTURES[name].module}")
    images = np.random.default_rng(0).uniform(0, 255, (2, 5, 5, 3)).astype(np.float32)

    ours = np.asarray(preprocess(images, ARCHITECTURES[name].preprocessing))

    np.testing.assert_allclose(ours, module.preprocess_input(images.copy()), atol=1e-4)


@pytest.mark.parametrize("name", IMAGENET)
def test_weights_file_is_the_one_that_keras_asks_for(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what a user puts in place by hand is found."""
    from keras.src.utils import file_utils

    asked: list[str] = []

    class AskedError(Exception):
        pass

    def get_file(fname: str, *_: object, **__: object) -> str:
        asked.append(fname)
        raise AskedError

    monkeypatch.setattr(file_utils, "get_file", get_file)
    architecture = ARCHITECTURES[name]
    module = importlib.import_module(f"keras.applications.{architecture.module}")
    for side in (96, 100) if architecture.takes_alpha else (architecture.minimum_size,):
        alpha = {"alpha": 0.35} if architecture.takes_alpha else {}
        with pytest.raises(AskedError):
            getattr(module, name)(include_top=False, input_shape=(side, side, 3), **alpha)
        assert asked[-1] == imagenet_file(name, (side, side), 0.35)


def test_every_preprocessing_mode_is_known() -> None:
    assert {a.preprocessing for a in ARCHITECTURES.values()} <= set(PREPROCESSING)


@pytest.mark.parametrize("mode", PREPROCESSING)
def test_preprocessing_of_black_and_white(mode: str) -> None:
    black, white = (
        np.asarray(preprocess(np.full((1, 1, 1, 3), value, np.float32), mode)).ravel()
        for value in (0, 255)
    )
    span = {
        "tf": 2,
        "torch": [1 / 0.229, 1 / 0.224, 1 / 0.225],
        "caffe": 255,
        "unit": 1,
        "raw": 255,
    }
    np.testing.assert_allclose(white - black, np.broadcast_to(span[mode], 3), rtol=1e-5)


def test_names_do_not_depend_on_what_was_built_before() -> None:
    once = stages(build_backbone(spec_of("InceptionV3", 75), None))
    again = stages(build_backbone(spec_of("InceptionV3", 75), None))
    assert once == again

"""The registry says of each backbone what Keras does."""

from __future__ import annotations

import importlib
import inspect
import warnings

import keras
import numpy as np
import pytest

from features.backbones.pooled import preprocess
from features.backbones.registry import ARCHITECTURES, PREPROCESSING, imagenet_file

IMAGENET = [name for name, architecture in ARCHITECTURES.items() if architecture.module]


def test_every_backbone_of_keras_applications_is_registered() -> None:
    constructors = {
        name for name, item in vars(keras.applications).items() if inspect.isfunction(item)
    }
    assert constructors == set(IMAGENET)


@pytest.mark.parametrize("name", IMAGENET)
def test_preprocessing_is_that_of_keras(name: str) -> None:
    module = importlib.import_module(f"keras.applications.{ARCHITECTURES[name].module}")
    images = np.random.default_rng(0).uniform(0, 255, (2, 5, 5, 3)).astype(np.float32)

    ours = np.asarray(preprocess(images, ARCHITECTURES[name].preprocessing))

    np.testing.assert_allclose(ours, module.preprocess_input(images.copy()), atol=1e-4)


def zeros(self: object, shape: tuple[int, ...], dtype: str = "float32", **_: object) -> object:
    return keras.ops.zeros(shape, dtype)


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
    # Their random weights, up to 350 million, are of no interest here.
    monkeypatch.setattr(keras.initializers.GlorotUniform, "__call__", zeros)
    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
    monkeypatch.setattr(keras.initializers.TruncatedNormal, "__call__", zeros)
    architecture = ARCHITECTURES[name]
    # The weights are asked for once the whole network stands: one of each width is enough.
    others = (*architecture.sizes[:1], architecture.minimum_size)
    cases = [(alpha, others[0]) for alpha in architecture.alphas[1:]]
    cases += [(architecture.alphas[0] if architecture.alphas else 1.0, side) for side in others]
    for alpha, side in cases:
        width = {"alpha": alpha} if architecture.alphas else {}
        with pytest.raises(AskedError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(keras.applications, name)(
                include_top=False, input_shape=(side, side, 3), **width
            )
        assert asked[-1] == imagenet_file(name, (side, side), alpha)


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

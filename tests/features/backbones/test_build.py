"""Weights that are not the backbone's are refused; a whole local model can be one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from features.backbones.build import build_backbone
from features.errors import UserError

from ..conftest import BACKBONE

EMBEDDED = replace(BACKBONE, views=("identity",), precision="fast")
MOBILENET = replace(
    EMBEDDED, architecture="MobileNetV2", alpha=0.35, weights="sha256 of a local file"
)
LOCAL = replace(MOBILENET, architecture="local", alpha=1.0)


def test_local_weights_are_loaded(tmp_path: Path) -> None:
    source = build_backbone(replace(MOBILENET, weights="random"), None)
    rng = np.random.default_rng(0)
    source.set_weights([rng.normal(size=w.shape) for w in source.get_weights()])
    source.save_weights(tmp_path / "mobilenet.weights.h5")
    loaded = build_backbone(MOBILENET, tmp_path / "mobilenet.weights.h5")
    for ours, theirs in zip(loaded.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_imagenets_efficientnet_from_a_local_file_is_as_keras_has_it(tmp_path: Path) -> None:
    """Its file has standard deviations for variances, which Keras makes up for by a layer."""
    deviation = np.array([0.229, 0.224, 0.225], np.float32)
    spec = replace(MOBILENET, architecture="EfficientNetB0", alpha=1.0, preprocessing="raw")
    keras.utils.clear_session()
    source = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    normalization = source.get_layer("normalization")
    normalization.adapt_mean.assign([0.485, 0.456, 0.406])
    normalization.adapt_variance.assign(deviation)
    normalization.finalize_state()
    source.save_weights(tmp_path / "b0.weights.h5")

    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    scaled = keras.Model(source.input, normalization.output)(pixels) / np.sqrt(deviation)
    rest = keras.Model(source.get_layer("stem_conv_pad").input, source.output)
    ours = build_backbone(spec, tmp_path / "b0.weights.h5")(pixels)
    np.testing.assert_allclose(ours, rest(scaled), rtol=1e-3, atol=1e-6)


def test_random_weights_are_the_same_every_time() -> None:
    one, other = (build_backbone(replace(MOBILENET, weights="random"), None) for _ in range(2))
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("other", ["another architecture", "another width", "a deeper sibling"])
def test_weights_of_another_backbone_are_refused(tmp_path: Path, other: str) -> None:
    file = tmp_path / "other.weights.h5"
    if other == "another architecture":
        build_backbone(EMBEDDED, None).save_weights(file)
        wanted = MOBILENET
    elif other == "another width":
        build_backbone(replace(MOBILENET, alpha=0.5, weights="random"), None).save_weights(file)
        wanted = MOBILENET
    else:
        keras.utils.clear_session()
        keras.applications.ResNet101(
            include_top=False, weights=None, input_shape=(32, 32, 3)
        ).save_weights(file)
        wanted = replace(MOBILENET, architecture="ResNet50", alpha=1.0)
    with pytest.raises(UserError, match=rf"not the weights of {wanted.architecture}"):
        build_backbone(wanted, file)


@pytest.mark.parametrize("name", ["cut.weights.h5", "text.weights.h5", "text.h5"])
def test_files_that_are_no_weights_are_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if name == "cut.weights.h5":
        build_backbone(replace(MOBILENET, weights="random"), None).save_weights(file)
        with file.open("r+b") as raw:
            raw.truncate(file.stat().st_size // 2)
    else:
        file.write_text("no weights")
    with pytest.raises(UserError, match=name):
        build_backbone(MOBILENET, file)


def classifier(tmp_path: Path) -> Path:
    inputs = keras.Input((24, 24, 3))
    x = keras.layers.Conv2D(6, 3, strides=2, name="features")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    model.save(tmp_path / "own.keras")
    return tmp_path / "own.keras"


def test_a_whole_local_model_is_cut_at_its_last_spatial_layer(tmp_path: Path) -> None:
    model = build_backbone(replace(LOCAL, size=(24, 24)), classifier(tmp_path))
    assert model.output_shape == (None, 11, 11, 6)


def test_a_local_model_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"takes images of 24x24, the study says 32x32"):
        build_backbone(LOCAL, classifier(tmp_path))


def test_a_local_model_without_spatial_layers_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    flat = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    keras.Model(inputs, flat).save(tmp_path / "flat.keras")
    with pytest.raises(UserError, match="no spatial layer"):
        build_backbone(replace(LOCAL, size=(8, 8)), tmp_path / "flat.keras")


def test_a_model_file_that_runs_code_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs)).save(tmp_path / "code.keras")
    with pytest.raises(UserError, match=r"code\.keras: Keras cannot load"):
        build_backbone(replace(LOCAL, size=(8, 8)), tmp_path / "code.keras")


def test_batch_normalisation_stays_in_inference_mode_under_fit() -> None:
    """`training=False` alone does not hold it once an outer model trains."""
    backbone = build_backbone(replace(MOBILENET, weights="random"), None)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(backbone(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.compile("sgd", "mse")
    before = [weight.copy() for weight in backbone.get_weights()]
    rng = np.random.default_rng(0)
    model.fit(rng.uniform(-1, 1, (8, 32, 32, 3)), rng.uniform(size=(8, 2)), verbose=0)
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)

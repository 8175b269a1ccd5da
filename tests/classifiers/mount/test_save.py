"""The file of a mounted model, and what may be trained of it."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from classifiers.mount import mount, save_mounted
from classifiers.spec import Choice
from features.errors import UserError

from .conftest import HALF, SIZE, Data
from .test_model import OTHER, check

ALONE = """
import sys
import keras, numpy
images = numpy.load("images.npy")
for name in sys.argv[1:]:
    model = keras.saving.load_model(name + ".keras", safe_mode=True)
    numpy.save(name + ".npy", model(images))
ours = {"features", "classifiers", "pipeline"} & set(sys.modules)
assert not ours, ours
"""


@pytest.mark.usefixtures("built_once")
def test_keras_alone_reads_it(data: Data, tmp_path: Path) -> None:
    half, other = data.run(HALF), data.run(OTHER)
    choice = Choice("last", "mean", root=True, pca=20, whiten=True)
    said = {}
    for head, features, image_size in (
        ("svm", [half, other], None),
        ("knn", [half], SIZE),
        ("dense", [half], SIZE),
    ):
        directory = data.fit(features, head, choice)
        model = mount(directory, features, weights=[None] * len(features), image_size=image_size)
        said[head] = np.asarray(model(data.test))
        save_mounted(model, tmp_path / "new" / f"{head}.keras")
    files = sorted(file.name for file in (tmp_path / "new").iterdir())
    assert files == ["dense.keras", "knn.keras", "svm.keras"]
    np.save(tmp_path / "new" / "images.npy", data.test)
    subprocess.run(
        [sys.executable, "-c", ALONE, *said],
        check=True,
        cwd=tmp_path / "new",
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    for head, ours in said.items():
        theirs = np.load(tmp_path / "new" / f"{head}.npy")
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-6)


def test_a_file_that_fails_to_be_written_leaves_none(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = data.run(HALF)
    model = mount(data.fit([features], "lda", Choice()), features, weights=[None], image_size=SIZE)
    with pytest.raises(UserError, match=r"ends in \.keras"):
        save_mounted(model, tmp_path / "mounted.h5")

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        save_mounted(model, tmp_path / "mounted.keras")
    assert not list(tmp_path.iterdir())


def test_layers_that_keras_lacks_are_not_saved(tmp_path: Path) -> None:
    class Foreign(keras.layers.Layer):
        def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
            return x

    inputs = keras.Input((2,))
    inner = keras.Model(inputs, Foreign()(inputs))
    with pytest.raises(UserError, match=r"cannot read .*'s Foreign\).*`export`"):
        save_mounted(keras.Model(inputs, inner(inputs)), tmp_path / "mounted.keras")
    assert not list(tmp_path.iterdir())


def batch_normalizations(model: keras.Model) -> list[keras.layers.Layer]:
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def test_training_all_else_leaves_the_moving_statistics(data: Data, tmp_path: Path) -> None:
    features = data.run(HALF)
    directory = data.fit([features], "dense", Choice("all", root=True))
    model = mount(directory, features, weights=[None], image_size=SIZE)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            layer.trainable = True
    save_mounted(model, tmp_path / "mounted.keras")
    for trained in (model, keras.saving.load_model(tmp_path / "mounted.keras")):
        frozen = batch_normalizations(trained)
        # One is the head's.
        assert len(frozen) == 13
        check(trained, data, directory)
        before = [layer.get_weights() for layer in frozen]
        weights = [variable.numpy() for variable in trained.trainable_variables]
        assert len(weights) > len(frozen)
        trained.compile("sgd", "sparse_categorical_crossentropy")
        trained.fit(data.test[:32], np.arange(32) % 10, verbose=0)
        for layer, then in zip(frozen, before, strict=True):
            for now, was in zip(layer.get_weights(), then, strict=True):
                np.testing.assert_array_equal(now, was)
        for variable, was in zip(trained.trainable_variables, weights, strict=True):
            assert np.isfinite(variable.numpy()).all()
            assert (variable.numpy() != was).any(), variable.path


@pytest.mark.usefixtures("built_once")
def test_of_any_size_it_is_loaded_for_a_gpu_without_xla(data: Data, tmp_path: Path) -> None:
    features = data.run(HALF)
    model = mount(data.fit([features], "lda", Choice()), features, weights=[None], image_size=None)
    save_mounted(model, tmp_path / "mounted.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = keras.saving.load_model(tmp_path / "mounted.keras")
    assert loaded.get_compile_config()["jit_compile"] is False

"""A mounted run says of images what the run says of their cached features."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from classifiers.calibration import read_validation, validation_ids, write_validation
from classifiers.data import Features
from classifiers.evaluate import evaluate_head
from classifiers.fit import fit_head
from classifiers.heads import make_head
from classifiers.mount import mount
from classifiers.spec import Choice, HeadSpec
from classifiers.store import save_head
from classifiers.voting import evaluate_vote, fit_vote
from features.backbones.build import EMBEDDED_WEIGHTS
from features.errors import UserError

from .conftest import EMBEDDED, HALF, MOBILENET, SETTINGS, SIZE, Data, expected, prepared

OTHER = replace(
    EMBEDDED, size=(24, 24), resize="pad", interpolation="bicubic", preprocessing="torch"
)

CHOICES = {
    "last": ([EMBEDDED], Choice()),
    "all, mean": ([EMBEDDED], Choice("all", "mean")),
    "all, rows": ([EMBEDDED], Choice("all", "rows")),
    "projected": (
        [HALF],
        Choice(("stage1_block2_out", "stage3_block1_out"), "mean", root=True, pca=20, whiten=True),
    ),
    "joined": ([EMBEDDED, OTHER], Choice("last", "mirror")),
}


def check(model: keras.Model, data: Data, directory: Path) -> None:
    ours, wanted = np.asarray(model(data.test)), expected(directory)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(ours.argmax(axis=1), wanted.argmax(axis=1))


@pytest.mark.parametrize("head", SETTINGS)
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.usefixtures("built_once")
def test_it_says_what_the_run_says(data: Data, choice: str, head: str) -> None:
    backbones, seen = CHOICES[choice]
    features = [data.run(backbone) for backbone in backbones]
    directory = data.fit(features, head, seen)
    model = mount(directory, features, weights=[None] * len(features), image_size=SIZE)
    assert model.input_shape == (None, *SIZE, 3)
    check(model, data, directory)


def test_a_layer_that_is_kept_unpooled_and_one_before_the_last(data: Data) -> None:
    features = data.run(replace(HALF, spatial=("last",)))
    choice = Choice(("stage2_block1_out", "spatial/stage3_block1_out"), "mean")
    directory = data.fit([features], "nearest_mean", choice)
    check(mount(directory, features, weights=[None], image_size=SIZE), data, directory)


def test_images_of_any_size_through_a_backbone_of_keras(folder: Path) -> None:
    data = prepared(folder / "three", train=60, test=20, classes=3)
    features = data.run(MOBILENET)
    directory = data.fit([features], "nearest_mean", Choice("all"))
    model = mount(directory, features, weights=[None], image_size=None)
    assert model.input_shape == (None, None, None, 3)
    check(model, data, directory)
    large = np.kron(data.test[:2], np.ones((1, 9, 7, 1), np.uint8))
    assert np.asarray(model(large)).shape == (2, 3)


@pytest.mark.usefixtures("built_once")
def test_two_classes(folder: Path) -> None:
    data = prepared(folder / "two", train=60, test=20, classes=2)
    features = data.run(EMBEDDED)
    for head in ("svm", "lda"):
        directory = data.fit([features], head, Choice(view="rows"))
        check(mount(directory, features, weights=[None], image_size=SIZE), data, directory)


@pytest.mark.usefixtures("built_once")
def test_a_class_never_seen_in_training_has_probability_0(data: Data, tmp_path: Path) -> None:
    path = data.run(EMBEDDED)
    with Features(path) as opened:
        X, y = opened.matrix("train", Choice()), opened.labels("train")
    for head in ("svm", "logistic", "knn"):
        directory = shutil.copytree(data.fit([path], head, Choice()), tmp_path / f"net.{head}.0")
        fitted = make_head(head, SETTINGS[head], seed=0).fit(X[y != 1], y[y != 1])
        save_head(fitted, directory)
        held = read_validation(directory)
        assert held is not None
        held[1][:, 1] = 0 if hasattr(fitted, "predict_proba") else -np.inf
        write_validation(directory, validation_ids(directory), *held)
        evaluate_head(path, directory)
        model = mount(directory, path, weights=[None], image_size=SIZE)
        check(model, data, directory)
        assert (np.asarray(model(data.test))[:, 1] == 0).all()


def test_a_vote_is_the_mean_of_its_members_at_their_temperatures(
    data: Data,
) -> None:
    one, other = data.run(HALF), data.run(OTHER)
    members = [
        data.fit([one], "knn", Choice()),
        data.fit([other], "svm", Choice("all")),
        data.fit([one, other], "logistic", Choice(view="rows")),
    ]
    directory = data.folder / "net.vote.0"
    fit_vote(members, directory, seed=0)
    evaluate_vote(members, directory)
    model = mount(directory, [one, other], weights=[None, None], image_size=SIZE)
    check(model, data, directory)


def test_weights_of_a_local_file(data: Data, tmp_path: Path) -> None:
    backbone = replace(EMBEDDED, weights="0123456789abcdef")
    features = data.run(backbone, EMBEDDED_WEIGHTS)
    directory = data.fit([features], "lda", Choice())
    check(mount(directory, features, weights=[EMBEDDED_WEIGHTS], image_size=SIZE), data, directory)
    with pytest.raises(UserError, match=r"local file .*`weights`"):
        mount(directory, features, weights=[None], image_size=SIZE)

    from features.embedded.network import build

    wrong = tmp_path / "wrong.weights.h5"
    build().save_weights(wrong)
    with pytest.raises(UserError, match="made with other weights"):
        mount(directory, features, weights=[wrong], image_size=SIZE)


def test_views_that_depend_on_a_name_cannot_be_mounted(data: Data) -> None:
    features = data.run(replace(EMBEDDED, views=("identity", "augmented-1")))
    directory = data.fit([features], "lda", Choice(view="mean"))
    with pytest.raises(UserError, match=r"augmented-1.*name.*views: \[identity, mirror\]"):
        mount(directory, features, weights=[None], image_size=SIZE)
    # What is stored and not seen is no matter.
    directory = data.fit([features], "lda", Choice())
    check(mount(directory, features, weights=[None], image_size=SIZE), data, directory)


def test_a_head_that_is_no_layers_is_used_through_python(data: Data, tmp_path: Path) -> None:
    features = data.run(EMBEDDED)
    settings = {"C": 1.0, "gamma": 0.5, "approximation": "exact", "components": 64}
    fit_head(features, HeadSpec("rbf_svm", settings), tmp_path, validation=0.3, seed=0)
    with pytest.raises(UserError, match=r"rbf_svm is no few layers of Keras"):
        mount(tmp_path, features, weights=[None], image_size=SIZE)


def test_other_features_than_those_of_the_fit(data: Data) -> None:
    directory = data.fit([data.run(EMBEDDED)], "lda", Choice())
    with pytest.raises(UserError, match="fitted on features"):
        mount(directory, data.run(HALF), weights=[None], image_size=SIZE)


def test_decision_values_without_validation_images(data: Data, tmp_path: Path) -> None:
    features = data.run(EMBEDDED)
    directory = shutil.copytree(data.fit([features], "svm", Choice()), tmp_path / "run")
    (directory / "validation.npz").unlink()
    with pytest.raises(UserError, match=r"without validation.npz"):
        mount(directory, features, weights=[None], image_size=SIZE)

"""An exported run says of images what the run said of their cached features."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.calibration import logits, tempered
from classifiers.evaluate import evaluate_head
from classifiers.export.folder import FEATURES, KERAS, read_exported
from classifiers.export.run import export_run
from classifiers.fit import fit_head
from classifiers.predict.model import load
from classifiers.spec import Choice, HeadSpec
from classifiers.store import read_json
from classifiers.voting import evaluate_vote, fit_vote
from features.errors import UserError

from ..mount.conftest import EMBEDDED, HALF, SETTINGS, Data, expected


def exported(directory: Path, features: list[Path], to: Path) -> Path:
    export_run(directory, features, weights=[None] * len(features), study="mine", to=to)
    return to


def close(folder: Path, data: Data, wanted: np.ndarray) -> None:
    found = load(folder).predict(data.test)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(found.argmax(axis=1), wanted.argmax(axis=1))


@pytest.mark.parametrize("head", SETTINGS)
@pytest.mark.usefixtures("built_once")
def test_predictions_are_those_on_the_cache(data: Data, head: str, tmp_path: Path) -> None:
    features = [data.run(replace(EMBEDDED, precision="exact"))]
    directory = data.fit(features, head, Choice("all", "mean"))
    to = exported(directory, features, tmp_path / "taken")
    assert sorted(file.name for file in to.iterdir()) == ["model.json", "model.keras"]
    close(to, data, expected(directory))


@pytest.mark.parametrize("choice", [Choice("all", "rows", root=True, pca=20), Choice("last")])
@pytest.mark.usefixtures("built_once")
def test_a_head_that_is_no_layers_stands_beside_what_it_sees(
    data: Data, choice: Choice, tmp_path: Path
) -> None:
    features = [data.run(HALF)]
    settings = {"C": 1.0, "gamma": 0.5, "approximation": "exact", "components": 64}
    directory = tmp_path / "net.rbf.0"
    fit_head(features, HeadSpec("rbf_svm", settings, choice), directory, validation=0.3, seed=0)
    evaluate_head(features, directory)
    to = exported(directory, features, tmp_path / "taken")
    assert not (to / KERAS).exists()
    assert (to / FEATURES).exists()
    with np.load(directory / "predictions.npz") as kept:
        scores = kept["scores"]
    _, found = read_exported(to)
    assert found.temperature is not None
    close(to, data, tempered(logits(scores, probabilities=False), found.temperature))


@pytest.mark.usefixtures("built_once")
def test_a_vote_is_one_model_or_says_why_not(data: Data, tmp_path: Path) -> None:
    features = [data.run(HALF)]
    for name in ("svm", "knn"):
        shutil.copytree(data.fit(features, name, Choice()), tmp_path / f"net.{name}.0")
    members = [tmp_path / "net.svm.0", tmp_path / "net.knn.0"]
    vote = tmp_path / "net.vote.0"
    fit_vote(members, vote, seed=0)
    evaluate_vote(members, vote)
    close(exported(vote, features, tmp_path / "taken"), data, expected(vote))
    settings = {"C": 1.0, "gamma": 0.5, "approximation": "exact", "components": 64}
    other = tmp_path / "net.rbf.0"
    fit_head(features, HeadSpec("rbf_svm", settings), other, validation=0.3, seed=0)
    evaluate_head(features, other)
    fit_vote([*members, other], vote, seed=0)
    to = exported(vote, features, tmp_path / "none")
    assert [file.name for file in to.iterdir()] == ["model.json"]
    with pytest.raises(UserError, match=r"no model.*net\.rbf\.0.*rbf_svm is no few layers"):
        load(to)


@pytest.mark.usefixtures("built_once")
def test_views_drawn_by_a_name_are_no_model_and_say_so(data: Data, tmp_path: Path) -> None:
    features = [data.run(replace(EMBEDDED, views=("identity", "augmented-1")))]
    directory = data.fit(features, "lda", Choice(view="mean"))
    with pytest.raises(UserError, match=r"augmented-1.*views: \[identity, mirror\]"):
        load(exported(directory, features, tmp_path / "taken"))


def test_a_failing_export_leaves_no_description(data: Data, tmp_path: Path) -> None:
    features = [data.run(HALF)]
    directory = data.fit(features, "lda", Choice())
    to = tmp_path / "taken"
    to.mkdir()
    (to / "model.json").write_text("{}")
    with pytest.raises(UserError, match="fitted on features"):
        exported(directory, [data.run(EMBEDDED)], to)
    with pytest.raises(UserError, match=r"no model\.json"):
        load(to)


@pytest.mark.usefixtures("built_once")
def test_images_of_all_shapes(data: Data, tmp_path: Path) -> None:
    features = [data.run(HALF)]
    directory = data.fit(features, "logistic", Choice())
    model = load(exported(directory, features, tmp_path / "taken"))
    assert model.classes == read_json(directory / "fit.json")["classes"]
    whole = model.predict(data.test)
    assert model.predict(data.test[0]) == pytest.approx(whole[:1], abs=1e-5)
    mixed: list[Any] = [data.test[0], np.zeros((1, 1, 3), np.uint8), data.test[1]]
    wide = np.zeros((3, 5000, 3), np.uint8)
    found = model.predict([*mixed, wide, np.zeros((7, 9), np.uint8)])
    assert found.shape == (5, 10)
    assert found[[0, 2]] == pytest.approx(whole[:2], abs=1e-5)
    assert found.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert model.predict([]).shape == (0, 10)
    for wrong in (data.test.astype(np.float32), data.test[..., :2], np.zeros((2, 0, 3), np.uint8)):
        with pytest.raises(ValueError, match="wanted is uint8 RGB"):
            model.predict(wrong)
    first, second = model.top(whole[0], 2)
    assert first[1] >= second[1]
    assert first[0] == model.classes[whole[0].argmax()]

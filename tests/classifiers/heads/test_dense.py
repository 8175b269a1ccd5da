"""The dense head."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from classifiers.fit import fit_head
from classifiers.heads import make_head
from classifiers.heads.dense import DenseClassifier
from classifiers.spec import HeadSpec
from classifiers.store import load_head, save_head
from features.errors import UserError

SETTINGS = {
    "hidden": [16, 8],
    "dropout": 0.1,
    "optimizer": "adam",
    "learning_rate": 0.02,
    "epochs": 6,
    "batch_size": 16,
}


@pytest.fixture(scope="module")
def problem() -> tuple[np.ndarray, np.ndarray]:
    """Three clusters labelled 0, 2 and 3, far from the origin, and a constant column."""
    rng = np.random.default_rng(0)
    labels = np.tile([0, 2, 3], 50)
    values = rng.normal(0, 1, (150, 6)) + 4 * rng.normal(size=(4, 6))[labels] + 500
    values[:, 5] = 7
    return values.astype(np.float32), labels


@pytest.fixture(scope="module")
def fitted(problem: tuple[np.ndarray, np.ndarray]) -> DenseClassifier:
    return make_head("dense", SETTINGS, 1).fit(*problem)


def test_it_learns_and_gives_probabilities_of_the_labels_it_saw(
    fitted: DenseClassifier, problem: tuple[np.ndarray, np.ndarray]
) -> None:
    values, labels = problem
    assert fitted.classes_.tolist() == [0, 2, 3]
    assert fitted.score(values, labels) > 0.97
    probabilities = fitted.predict_proba(values)
    assert probabilities.shape == (150, 3)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_a_column_constant_in_training_decides_nothing_later(
    fitted: DenseClassifier, problem: tuple[np.ndarray, np.ndarray]
) -> None:
    values = problem[0].copy()
    values[:, 5] += 1e-3
    assert np.array_equal(fitted.predict(values), fitted.predict(problem[0]))


def test_the_seed_decides_everything(
    fitted: DenseClassifier, problem: tuple[np.ndarray, np.ndarray]
) -> None:
    again = clone(fitted).fit(*problem)
    other = clone(fitted).set_params(seed=2).fit(*problem)
    probabilities = fitted.predict_proba(problem[0])
    assert np.array_equal(again.predict_proba(problem[0]), probabilities)
    assert not np.array_equal(other.predict_proba(problem[0]), probabilities)


def test_a_saved_head_is_the_head_and_a_network_complete_in_itself(
    fitted: DenseClassifier, problem: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    import keras

    path = save_head(fitted, tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["head.keras"]
    loaded = load_head(path)
    probabilities = fitted.predict_proba(problem[0])
    assert np.array_equal(loaded.predict_proba(problem[0]), probabilities)
    assert np.array_equal(loaded.predict(problem[0]), fitted.predict(problem[0]))
    assert loaded.get_params() == fitted.get_params()
    network = keras.saving.load_model(path)
    assert np.array_equal(network.predict(problem[0], verbose=0), probabilities)


def test_a_network_with_code_in_it_or_a_part_of_one_is_refused(
    fitted: DenseClassifier, tmp_path: Path
) -> None:
    import keras

    path = save_head(fitted, tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a whole head"):
        load_head(path)

    inputs = keras.Input((6,))
    code = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs))
    code.save(path)
    with zipfile.ZipFile(path, "a") as entries:
        entries.writestr(
            "estimator.json", json.dumps({"settings": SETTINGS, "classes": [0, 1], "fitted": {}})
        )
    with pytest.raises(UserError, match="not a whole head"):
        load_head(path)


def test_a_study_s_dense_head_searches_its_layers(features_path: Path, tmp_path: Path) -> None:
    settings = SETTINGS | {"hidden": [[], [8]], "epochs": 3}
    path = fit_head(
        features_path,
        HeadSpec("dense", "all", "mean", settings),
        tmp_path,
        validation=0.2,
        seed=0,
    )
    record = json.loads((tmp_path / "fit.json").read_text())
    assert path.name == record["head"] == "head.keras"
    assert record["settings"]["hidden"] in ([], [8])
    assert record["versions"]["keras"]


def test_an_unknown_optimizer_is_told(features_path: Path, tmp_path: Path) -> None:
    head = HeadSpec("dense", "last", "identity", SETTINGS | {"optimizer": "adamant"})
    with pytest.raises(UserError, match="adamant"):
        fit_head(features_path, head, tmp_path, validation=0.2, seed=0)

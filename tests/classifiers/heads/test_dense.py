"""The dense head."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import estimator_checks_generator

from classifiers.fit import fit_head
from classifiers.heads import DEFAULTS, dense, make_head
from classifiers.heads.dense import DenseClassifier
from classifiers.spec import Choice, HeadSpec
from classifiers.store import load_head, save_head
from features.errors import UserError

SETTINGS: dict[str, Any] = DEFAULTS["dense"] | {
    "hidden": [16, 8],
    "dropout": 0.1,
    "optimizer": "adam",
    "learning_rate": 0.02,
    "epochs": 6,
    "batch_size": 16,
}
QUICK = DenseClassifier(hidden=[8], dropout=0, epochs=3, batch_size=50, learning_rate=0.02)


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
    assert loaded.history_ == fitted.history_
    assert (loaded.epochs_, loaded.status_) == (6, "finished")
    network = keras.saving.load_model(path)
    assert network.predict(problem[0], verbose=0) == pytest.approx(probabilities, abs=1e-6)


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
        HeadSpec("dense", settings, Choice("all", "mean")),
        tmp_path,
        validation=0.2,
        seed=0,
    )
    record = json.loads((tmp_path / "fit.json").read_text())
    assert path.name == record["head"] == "head.keras"
    assert record["settings"]["hidden"] in ([], [8])
    assert record["versions"]["keras"]


def test_an_unknown_optimizer_is_told(features_path: Path, tmp_path: Path) -> None:
    head = HeadSpec("dense", SETTINGS | {"optimizer": "adamant"})
    with pytest.raises(UserError, match="adamant"):
        fit_head(features_path, head, tmp_path, validation=0.2, seed=0)


@pytest.mark.parametrize(
    "changed",
    [
        {"hidden": [9]},
        {"dropout": 0.3},
        {"stack": [{"dense": 8, "l2": 0.1}]},
        {"stack": [{"dense": 8, "l1": 0.1}]},
        {"stack": ["batch_normalization", {"dense": 8}]},
        {"stack": [{"dense": 8, "activation": "gelu"}]},
        {"optimizer": "adamw"},
        {"learning_rate": 0.01},
        {"schedule": "cosine"},
        {"label_smoothing": 0.1},
        {"epochs": 2},
        {"batch_size": 25},
        {"seed": 1},
    ],
)
def test_every_setting_changes_the_network(
    changed: dict[str, Any], problem: tuple[np.ndarray, np.ndarray]
) -> None:
    plain = _plain(problem)
    other = clone(QUICK).set_params(**changed).fit(*problem).predict_proba(problem[0])
    assert np.abs(other - plain).max() > 1e-4


def _plain(problem: tuple[np.ndarray, np.ndarray], kept: list[np.ndarray] = []) -> np.ndarray:  # noqa: B006
    """What `QUICK` predicts; fitted once."""
    if not kept:
        kept.append(clone(QUICK).fit(*problem).predict_proba(problem[0]))
    return kept[0]


def test_the_short_form_is_the_stack_of_it(problem: tuple[np.ndarray, np.ndarray]) -> None:
    same = clone(QUICK).set_params(stack=[{"dense": 8}], hidden=[99]).fit(*problem)
    assert np.array_equal(same.predict_proba(problem[0]), _plain(problem))


def test_penalties_shrink_the_weights(problem: tuple[np.ndarray, np.ndarray]) -> None:
    def weights(**penalty: float) -> np.ndarray:
        head = clone(QUICK).set_params(stack=[{"dense": 8, **penalty}], epochs=15).fit(*problem)
        kernel: np.ndarray = head.model_.layers[2].get_weights()[0]
        return kernel

    free, squares, sizes = weights(), weights(l2=0.1), weights(l1=0.1)
    assert np.square(squares).sum() < 0.5 * np.square(free).sum()
    assert np.abs(sizes).sum() < 0.5 * np.abs(free).sum()


@pytest.fixture(scope="module")
def noise() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Few rows with much noise, which a large network soon knows by heart."""
    rng = np.random.default_rng(1)
    labels = np.arange(160) % 2
    values = (rng.normal(0, 1, (160, 20)) + 0.3 * labels[:, None]).astype(np.float32)
    return values[:60], labels[:60], values[60:], labels[60:]


OVERFIT = DenseClassifier(hidden=[64], dropout=0, epochs=40, batch_size=20, learning_rate=0.01)


@pytest.mark.parametrize("monitor", ["accuracy", "loss"])
def test_the_best_epoch_is_kept_and_the_training_ends_without_better_ones(
    monitor: str, noise: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
) -> None:
    X, y, Xv, yv = noise
    head = clone(OVERFIT).set_params(monitor=monitor, patience=5)
    head.fit(X, y, validation=(Xv, yv))
    watched = np.array(head.history_[f"val_{monitor}"]) * (1 if monitor == "accuracy" else -1)
    assert head.status_ == "stopped early"
    assert head.epochs_ == watched.argmax() + 1
    assert len(watched) == head.epochs_ + 5 < 40
    assert head.score(Xv, yv) == head.history_["val_accuracy"][head.epochs_ - 1]
    assert head.history_["val_accuracy"][-1] < head.score(Xv, yv) or monitor == "loss"

    again = clone(head).fit(X, y, until=head.epochs_)
    assert np.array_equal(again.predict_proba(Xv), head.predict_proba(Xv)), "the refit's epochs"
    assert set(again.history_) == {"loss", "accuracy", "learning_rate"}


def test_watching_rows_changes_nothing_of_the_training(
    noise: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    X, y, Xv, yv = noise
    short = clone(OVERFIT).set_params(epochs=3)
    alone, watched = clone(short).fit(X, y), clone(short).fit(X, y, validation=(Xv, yv))
    assert np.array_equal(alone.predict_proba(Xv), watched.predict_proba(Xv))
    assert watched.history_["loss"] == alone.history_["loss"]
    assert len(watched.history_["val_loss"]) == watched.epochs_ == 3


def test_until_keeps_to_the_schedule_of_all_epochs(
    noise: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    X, y, _, _ = noise
    whole = clone(OVERFIT).set_params(epochs=6, schedule="cosine")
    first = clone(whole).fit(X, y, until=2).history_
    assert first["loss"] == whole.fit(X, y).history_["loss"][:2]


def test_plateau_lowers_the_rate(
    noise: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    X, y, Xv, yv = noise
    plateau = {"plateau": {"factor": 0.1, "patience": 2}}
    head = clone(OVERFIT).set_params(epochs=15, schedule=plateau)
    rates = head.fit(X, y, validation=(Xv, yv)).history_["learning_rate"]
    assert rates[0] == pytest.approx(0.01)
    assert rates[-1] <= 0.0011


def test_without_rows_to_watch_some_are_held_out(
    noise: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    X, y, _, _ = noise
    head = clone(OVERFIT).set_params(epochs=3, monitor="loss").fit(X, y)
    assert len(head.history_["val_loss"]) == 3
    with pytest.warns(ConvergenceWarning, match="no validation rows to watch"):
        head.fit(X[:2], y[:2])
    assert head.epochs_ == 3


def test_a_class_that_training_lacks_is_wrong_in_validation(
    noise: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    X, y, Xv, yv = noise
    head = clone(OVERFIT).set_params(epochs=1).fit(X, y, validation=(Xv, np.full_like(yv, 7)))
    assert head.history_["val_accuracy"] == [0.0]


@pytest.mark.parametrize("monitor", [None, "accuracy"])
def test_a_loss_that_is_no_number_ends_it_with_the_last_good_network(
    monitor: str | None, noise: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
) -> None:
    X, y, Xv, yv = noise
    head = clone(OVERFIT).set_params(optimizer="sgd", learning_rate=1e20, monitor=monitor)
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 1 of 40.*Lower learning_rate"):
        head.fit(X, y, validation=(Xv, yv))
    assert head.status_ == "diverged"
    assert head.epochs_ == 0
    assert np.isfinite(head.predict_proba(Xv)).all()


def test_a_dask_array_is_learnt_in_blocks(problem: tuple[np.ndarray, np.ndarray]) -> None:
    """Its order of rows is another, so the network is; the statistics and the quality are not."""
    import dask.array as da

    values, labels = problem
    order = np.random.default_rng(0).permutation(150)
    values, labels = values[order], labels[order]
    head = clone(QUICK).set_params(epochs=8)
    memory = clone(head).fit(values, labels, validation=(values, labels))
    lazy = da.from_array(values, chunks=(40, 4))
    blocks = clone(head).fit(lazy, labels, validation=(lazy, labels))
    for one, other in zip(
        blocks.model_.layers[1].get_weights(), memory.model_.layers[1].get_weights(), strict=True
    ):
        assert one == pytest.approx(other)
    assert blocks.score(values, labels) > 0.97
    assert memory.score(values, labels) > 0.97
    assert blocks.predict_proba(lazy) == pytest.approx(blocks.predict_proba(values), abs=1e-6)
    again = clone(head).fit(lazy, labels)
    assert np.array_equal(again.predict_proba(values), blocks.predict_proba(values))
    with pytest.raises(ValueError, match="labels"):
        clone(head).fit(lazy, labels[:-1])
    with pytest.raises(ValueError, match="features"):
        blocks.predict(lazy[:, :3])
    with pytest.raises(ValueError, match="NaN, infinity"):
        clone(head).fit(da.from_array(np.full((20, 3), np.nan, np.float32)), labels[:20])


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"optimizer": "adamant"}, "allowed: adam, adamw, sgd, rmsprop"),
        ({"monitor": "f1"}, "allowed: null, accuracy, loss"),
        ({"patience": 3}, "patience: nothing is watched"),
        ({"monitor": "loss", "patience": 0}, "patience: 0 is out of its range"),
        ({"epochs": 0}, "epochs: 0"),
        ({"batch_size": 0}, "batch_size: 0"),
        ({"learning_rate": -1}, "learning_rate: -1"),
        ({"label_smoothing": 1}, "label_smoothing: 1"),
        ({"schedule": "linear"}, "allowed: constant, cosine"),
        ({"stack": [{"densse": 1}]}, "allowed: dense, batch_normalization"),
    ],
)
def test_an_impossible_setting_is_told_before_any_fit(setting: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        make_head_of(**setting)


def make_head_of(**settings: Any) -> DenseClassifier:
    return dense.make(seed=0, **settings)


CHECKS = (
    "check_classifiers_classes",
    "check_classifiers_one_label",
    "check_classifiers_regression_target",
    "check_dict_unchanged",
    "check_estimators_nan_inf",
    "check_estimators_unfitted",
    "check_n_features_in_after_fitting",
    "check_no_attributes_set_in_init",
    "check_requires_y_none",
)
"""A quick part of scikit-learn's; the others pass too, in a minute and a half."""


def test_scikit_learn_s_checks_pass() -> None:
    head = DenseClassifier(hidden=[16], dropout=0, epochs=30, batch_size=16, learning_rate=0.02)
    passed = set()
    for estimator, check in estimator_checks_generator(head):
        name = check.func.__name__
        if name in CHECKS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(estimator)
            passed.add(name)
    assert passed == set(CHECKS)

"""The SVM with a Gaussian kernel, beside scikit-learn's solvers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_circles
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from classifiers.heads import rbf_svm
from classifiers.heads.rbf_svm import RbfSvmClassifier, make, path
from classifiers.solvers import kernel as solver
from classifiers.store import load_head, save_head
from features.errors import UserError

SETTINGS: dict[str, Any] = {"C": 1.0, "gamma": 1.0, "approximation": "auto", "components": 4096}


def problem(
    seed: int, rows: int = 120, width: int = 6, classes: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Clusters, two a class, so that no plane parts the classes."""
    rng = np.random.default_rng(seed)
    clusters = rng.permutation(np.arange(rows) % (2 * classes))
    centres = rng.normal(0, 2, (2 * classes, width))
    values = centres[clusters] + rng.normal(size=(rows, width))
    return values.astype(np.float32), clusters % classes


@parametrize_with_checks(
    [RbfSvmClassifier(), RbfSvmClassifier(approximation="nystroem", components=20)]
)
def test_it_is_an_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(10, 150),
    width=st.integers(1, 20),
    classes=st.integers(2, 6),
    C=st.sampled_from([0.01, 1.0, 30.0]),
    gamma=st.sampled_from([0.1, 1.0, 10.0]),
)
def test_the_exact_machine_s_gradient_vanishes_in_float64(
    seed: int, rows: int, width: int, classes: int, C: float, gamma: float
) -> None:
    """At the least, each row's weight is 2 C y times its slack: so the duality gap is 0."""
    values, labels = problem(seed, rows, width, classes)
    head = RbfSvmClassifier(C, gamma).fit(values, labels)
    scaled = head.scaler_.transform(values).astype(np.float64)
    raised = solver.gaussian(scaled, scaled, head.gamma_) + 1
    places = head.classes_ if len(head.classes_) > 2 else head.classes_[1:]
    signs = np.where(labels[:, None] == places, 1.0, -1.0)

    def objective(weights: np.ndarray) -> np.ndarray:
        slack = np.maximum(1 - signs * (raised @ weights), 0)
        return (weights * (raised @ weights)).sum(axis=0) / 2 + C * (slack**2).sum(axis=0)

    weights = head.weights_.astype(np.float64)
    dual = 2 * C * signs * np.maximum(1 - signs * (raised @ weights), 0)
    bound = (signs * dual).sum(axis=0) - (dual * (raised @ dual)).sum(axis=0) / 2
    bound -= (dual**2).sum(axis=0) / (4 * C)
    assert (objective(weights) - bound <= 2e-3 * objective(weights) + 1e-6).all()


def test_it_learns_what_no_plane_parts_as_well_as_scikit_learn_does() -> None:
    values, labels = problem(0, 1500, 10, 5)
    ours = RbfSvmClassifier().fit(values[:1000], labels[:1000])
    scaled = ours.scaler_.transform(values)
    peer = SVC(gamma="scale").fit(scaled[:1000], labels[:1000])
    accuracy = ours.score(values[1000:], labels[1000:])
    assert accuracy > 0.9
    assert accuracy >= peer.score(scaled[1000:], labels[1000:]) - 0.01


def test_a_gamma_of_1_is_scikit_learn_s_scale_whatever_columns_are_constant() -> None:
    values, labels = problem(0)
    values = np.hstack([values, np.ones((len(values), 4), np.float32)])
    head = RbfSvmClassifier().fit(values, labels)
    scaled = head.scaler_.transform(values)
    assert head.gamma_ == pytest.approx(1 / (scaled.shape[1] * scaled.var()), rel=1e-5)


def test_some_landmarks_come_near_to_all_of_them() -> None:
    values, labels = problem(4, 900, 5, 3)
    exact = RbfSvmClassifier(approximation="exact", components=10).fit(values, labels)
    assert len(exact.landmarks_) == 900
    far = []
    for components in (30, 300):
        head = RbfSvmClassifier(components=components).fit(values, labels)
        assert head.landmarks_.shape == (components, 5)
        difference = head.decision_function(values) - exact.decision_function(values)
        far.append(np.abs(difference).mean())
    assert far[1] < far[0] / 2
    assert far[1] < 0.05


def test_the_seed_draws_the_landmarks() -> None:
    values, labels = problem(0)
    one, same, other = (
        RbfSvmClassifier(components=20, seed=seed).fit(values, labels) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.decision_function(values), same.decision_function(values))
    assert not np.array_equal(one.landmarks_, other.landmarks_)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("components", [40, 4096])
def test_the_path_gives_what_each_fit_gives(classes: int, components: int) -> None:
    values, labels = problem(5, 200, 6, classes)
    held, _ = problem(6, 30, 6, classes)
    tried = [
        SETTINGS | {"C": C, "gamma": gamma, "components": components}
        for C in (10.0, 0.1, 1.0)
        for gamma in (2.0, 1.0)
    ]
    scores = list(path(tried, values, labels, held, seed=3))
    assert len(scores) == len(tried)
    for candidate, found in zip(tried, scores, strict=True):
        alone = make(**candidate, seed=3).fit(values, labels).decision_function(held)
        if classes == 2:
            alone = np.column_stack([-alone, alone])
        assert found.shape == (30, classes)
        assert found.dtype == np.float32
        assert found == pytest.approx(alone, abs=0.03)


def test_the_path_computes_one_kernel_a_gamma(monkeypatch: pytest.MonkeyPatch) -> None:
    values, labels = problem(5)
    made = []

    def counted(*arguments: Any) -> np.ndarray:
        made.append(len(arguments[0]))
        return solver.gaussian(*arguments)

    monkeypatch.setattr(rbf_svm, "gaussian", counted)
    tried = [SETTINGS | {"C": C, "gamma": gamma} for C in (0.1, 1.0) for gamma in (1.0, 2.0)]
    list(path(tried, values, labels, values[:9], seed=0))
    assert sorted(made) == [9, 9, 120, 120, 120, 120]


def test_copies_constant_columns_and_one_row_a_class_are_borne() -> None:
    values, labels = make_circles(60, noise=0.05, factor=0.4, random_state=0)
    values = np.column_stack([values, np.full(60, 7.0)]).astype(np.float32)
    copies = RbfSvmClassifier().fit(np.repeat(values, 5, axis=0), np.repeat(labels, 5))
    assert copies.score(values, labels) == 1
    later = values.copy()
    later[:, 2] = 1e4
    assert np.array_equal(copies.predict(later), labels)
    single, _ = problem(0, 300, 20)
    assert RbfSvmClassifier(10.0).fit(single, np.arange(300)).score(single, np.arange(300)) == 1
    alike = RbfSvmClassifier().fit(np.ones((9, 2)), np.tile([0, 0, 1], 3))
    assert alike.predict(np.ones((1, 2))).tolist() == [0]


def test_a_fit_that_is_stopped_early_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    values, labels = problem(0)
    monkeypatch.setattr(solver, "NEWTON_STEPS", 1)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        RbfSvmClassifier().fit(values, labels)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        next(path([SETTINGS], values, labels, values, seed=0))
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RbfSvmClassifier(C=1000.0).fit(values, labels)


def test_a_saved_head_is_the_head(tmp_path: Path) -> None:
    values, labels = problem(0)
    head = make(**SETTINGS | {"components": 20}, seed=0).fit(values, labels)
    loaded = load_head(save_head(head, tmp_path))
    assert np.array_equal(loaded.decision_function(values), head.decision_function(values))


def test_mistakes_are_told() -> None:
    values, labels = problem(0)
    with pytest.raises(UserError, match="no approximation 'most'; allowed: auto, exact, nystroem"):
        make(**SETTINGS | {"approximation": "most"}, seed=0)
    with pytest.raises(ValueError, match=r"gamma=-1\.0 must be above 0"):
        make(**SETTINGS | {"gamma": -1.0}, seed=0).fit(values, labels)
    with pytest.raises(ValueError, match="all of one class"):
        make(**SETTINGS, seed=0).fit(values, np.zeros(len(values)))

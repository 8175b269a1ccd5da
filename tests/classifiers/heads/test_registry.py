"""The heads of scikit-learn on small problems of every awkward kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from classifiers.grid import candidates
from classifiers.heads import DEFAULTS, HEADS, make_head

SETTINGS: dict[str, dict[str, Any]] = {
    "logistic": {"C": 1.0},
    "svm": {"C": 1.0},
    "ridge": {"alpha": 1.0},
    "knn": {"k": 1, "metric": "cosine"},
}


def clusters(classes: int, images: int = 8, width: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(classes)
    labels = np.tile(np.arange(classes), images)
    values = rng.normal(0, 4, (classes, width))[labels] + rng.normal(0, 0.3, (len(labels), width))
    return values.astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 100])
@pytest.mark.parametrize("type", SETTINGS)
def test_separable_data_is_learnt(type: str, classes: int) -> None:
    values, labels = clusters(classes)
    head = make_head(type, SETTINGS[type], 0).fit(values[: -2 * classes], labels[: -2 * classes])
    assert head.score(values[-2 * classes :], labels[-2 * classes :]) > 0.97


@pytest.mark.parametrize("type", SETTINGS)
def test_it_standardises_with_the_rows_it_is_fitted_on(type: str) -> None:
    values, labels = clusters(3)
    values += np.random.default_rng(0).normal(0, 5, values.shape).astype(np.float32)
    moved = values * np.geomspace(0.1, 50, 20).astype(np.float32) + 100
    head = make_head(type, SETTINGS[type], 0)
    before = clone(head).fit(values, labels).predict(values)
    assert np.array_equal(clone(head).fit(moved, labels).predict(moved), before)


@pytest.mark.parametrize("type", SETTINGS)
def test_constant_columns_change_nothing_even_where_they_differ_later(type: str) -> None:
    values, labels = clusters(3)
    later = np.hstack([values, np.full((len(values), 1), 1e-3, np.float32)])
    wider = np.hstack([values, np.zeros((len(values), 1), np.float32)])
    head = make_head(type, SETTINGS[type], 0).fit(wider, labels)
    assert np.array_equal(head.predict(later), labels)


@pytest.mark.parametrize("type", SETTINGS)
def test_one_image_a_class_is_enough_to_fit(type: str) -> None:
    values, labels = clusters(5)
    head = make_head(type, SETTINGS[type], 0).fit(values[:5], labels[:5])
    assert head.score(values, labels) > 0.9


@pytest.mark.parametrize("type", SETTINGS)
def test_a_class_missing_from_a_fold_is_not_among_its_classes(type: str) -> None:
    values, labels = clusters(4)
    head = make_head(type, SETTINGS[type], 0).fit(values[labels != 1], labels[labels != 1])
    assert head.classes_.tolist() == [0, 2, 3]


@pytest.mark.parametrize("type", SETTINGS)
def test_a_seed_decides_all_that_is_drawn(type: str) -> None:
    values, labels = clusters(4)
    values += np.random.default_rng(0).normal(0, 5, values.shape).astype(np.float32)
    head = make_head(type, SETTINGS[type], 3)
    first, second = clone(head).fit(values, labels), clone(head).fit(values, labels)
    assert np.array_equal(first.predict(values), second.predict(values))


def test_cosine_ignores_length_and_euclidean_does_not() -> None:
    """Judged against scikit-learn's own cosine metric on the standardised rows."""
    from sklearn.neighbors import KNeighborsClassifier

    rng = np.random.default_rng(0)
    values = (rng.normal(size=(80, 6)) * rng.uniform(0.1, 9, (80, 1))).astype(np.float32)
    labels = rng.integers(0, 3, 80)
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    answers = {}
    for metric in ("cosine", "euclidean"):
        peer = KNeighborsClassifier(5, algorithm="brute", metric=metric).fit(scaled, labels)
        head = make_head("knn", {"k": 5, "metric": metric}, 0).fit(values, labels)
        answers[metric] = head.predict(values)
        assert np.array_equal(answers[metric], peer.predict(scaled))
    assert not np.array_equal(answers["cosine"], answers["euclidean"])


@pytest.mark.parametrize("type", [type for type in HEADS if type != "custom"])
def test_the_defaults_make_the_head(type: str) -> None:
    for settings in candidates(DEFAULTS[type]):
        assert hasattr(make_head(type, settings, 0), "fit")

"""The heads as layers give the scores that they give as estimators."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import make_blobs

from classifiers.heads import make_head, scores_of
from classifiers.mount.heads import scores_in_graph

from .conftest import SETTINGS


def in_graph(head: Any, X: np.ndarray) -> np.ndarray:
    inputs = keras.Input(X.shape[1:])
    model = keras.Model(inputs, scores_in_graph(head, "head_")(inputs))
    return np.asarray(model(X))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("type", SETTINGS)
def test_the_scores_are_those_of_the_head(type: str, classes: int) -> None:
    X, y = make_blobs(200, 10, centers=classes, cluster_std=6, random_state=0)
    X = X.astype(np.float32)
    head = make_head(type, SETTINGS[type], seed=0).fit(X[:150], y[:150] * 3)
    np.testing.assert_allclose(in_graph(head, X), scores_of(head, X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbours_with_a_column_that_was_constant(metric: str) -> None:
    X, y = make_blobs(200, 10, centers=3, cluster_std=6, random_state=0)
    X = X.astype(np.float32)
    X[:150, 4] = 1
    head = make_head("knn", {"k": 7, "metric": metric}, seed=0).fit(X[:150], y[:150])
    np.testing.assert_allclose(in_graph(head, X), scores_of(head, X), atol=1e-6)


@pytest.mark.parametrize("type", ["logistic", "svm"])
def test_features_far_from_zero_lose_no_digits(type: str) -> None:
    X, y = make_blobs(200, 10, centers=3, cluster_std=6, random_state=0)
    X = X.astype(np.float32) + np.float32(1e5)
    head = make_head(type, SETTINGS[type], seed=0).fit(X, y)
    assert len(head.shift_)
    np.testing.assert_allclose(in_graph(head, X), scores_of(head, X), rtol=1e-5, atol=1e-5)

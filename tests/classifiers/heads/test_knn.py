"""The k nearest neighbours, beside scikit-learn's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from classifiers.heads import knn
from classifiers.heads.knn import KnnClassifier, make, nearest, path
from features.errors import UserError


def problem(seed: int, rows: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    values = rng.normal(size=(classes, width))[labels] + rng.normal(size=(rows, width))
    return values.astype(np.float32), labels


@pytest.fixture(params=[(512, 2048), (7, 5)], ids=["one block", "small blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(knn, "QUERIES", request.param[0])
    monkeypatch.setattr(knn, "ROWS", request.param[1])
    yield


@parametrize_with_checks([KnnClassifier(), KnnClassifier(metric="euclidean")])
def test_it_is_an_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 80),
    width=st.integers(1, 12),
    classes=st.integers(1, 12),
    share=st.floats(0, 1),
    metric=st.sampled_from(knn.METRICS),
    sizes=st.sampled_from([(512, 2048), (7, 5), (1, 1)]),
)
def test_it_votes_as_scikit_learn_does_in_float64(
    seed: int, rows: int, width: int, classes: int, share: float, metric: str, sizes: tuple
) -> None:
    values, labels = problem(seed, rows + 20, width, classes)
    values, held, labels = values[:rows], values[rows:], labels[:rows]
    k = 1 + int(share * (rows - 1))
    scaler = StandardScaler().fit(values)
    scaled, asked = (scaler.transform(array).astype(np.float64) for array in (values, held))
    peer = KNeighborsClassifier(k, algorithm="brute", metric=metric).fit(scaled, labels)
    distances, _ = (
        NearestNeighbors(algorithm="brute", metric=metric)
        .fit(scaled)
        .kneighbors(asked, n_neighbors=min(k + 1, rows))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knn, "QUERIES", sizes[0])
        patch.setattr(knn, "ROWS", sizes[1])
        votes = KnnClassifier(k, metric).fit(values, labels).predict_proba(held)
    # Where the next neighbour is as near as the last, either may vote.
    clear = np.ones(len(held), bool)
    if k < rows:
        clear = distances[:, k] - distances[:, k - 1] > 1e-5
    assert votes[clear] == pytest.approx(peer.predict_proba(asked)[clear], abs=1e-6)
    assert votes.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_of_equal_distances_the_first_row_is_nearer(blocks: None) -> None:
    """Thirty copies of each of four points, over several blocks."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4, 6)).astype(np.float32)
    which = rng.permutation(np.repeat(np.arange(4), 30))
    found = nearest(-points, points[which], 12)
    products = -points @ points[which].T
    expected = np.argsort(products, axis=1, kind="stable")[:, :12]
    assert np.array_equal(found, expected)


def test_copies_with_other_labels_leave_the_vote_to_the_first_of_them(blocks: None) -> None:
    values = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    labels = np.tile([2, 2, 2, 2, 2, 1, 1, 1, 0, 0], 3)
    head = KnnClassifier(5).fit(values, labels)
    assert np.array_equal(head.predict_proba(values), np.tile([0.0, 0.0, 1.0], (30, 1)))


def test_of_equal_votes_the_first_class_wins() -> None:
    values = np.array([[0], [1], [10], [11]], np.float32)
    head = KnnClassifier(4, "euclidean").fit(values, ["b", "a", "b", "a"])
    assert head.predict(values).tolist() == ["a"] * 4


def test_identical_rows_are_answered_and_the_first_of_them_vote(blocks: None) -> None:
    values = np.full((40, 3), 7, np.float32)
    labels = np.repeat([1, 0], 20)
    for metric in knn.METRICS:
        assert KnnClassifier(3, metric).fit(values, labels).predict(values[:2]).tolist() == [1, 1]


def test_a_column_constant_in_training_decides_nothing_later() -> None:
    values, labels = problem(0, 60, 5, 3)
    values[:, 2] = 7
    later = values.copy()
    later[:, 2] = 1e6
    for metric in knn.METRICS:
        head = KnnClassifier(3, metric).fit(values, labels)
        assert np.array_equal(head.predict_proba(later), head.predict_proba(values))


def test_one_row_a_class_is_its_own_nearest() -> None:
    values, _ = problem(1, 1000, 20, 5)
    for metric in knn.METRICS:
        head = KnnClassifier(1, metric).fit(values, np.arange(1000))
        assert np.array_equal(head.predict(values), np.arange(1000))


def test_the_path_gives_what_each_fit_gives_and_computes_distances_once_a_metric(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values, labels = problem(2, 300, 10, 4)
    held, _ = problem(3, 50, 10, 4)
    tried = [{"k": k, "metric": metric} for k in (30, 1, 7, 8) for metric in knn.METRICS]
    passes = []

    def counted(*arguments: Any) -> np.ndarray:
        passes.append(arguments[2])
        return nearest(*arguments)

    monkeypatch.setattr(knn, "nearest", counted)
    scores = list(path(tried, values, labels, held, seed=0))
    assert passes == [30, 30]
    for settings_, found in zip(tried, scores, strict=True):
        alone = make(**settings_, seed=0).fit(values, labels).predict_proba(held)
        assert found.dtype == np.float32
        assert np.array_equal(found, alone)


def test_mistakes_are_told() -> None:
    values, labels = problem(0, 10, 3, 2)
    with pytest.raises(UserError, match="no metric 'l7'; allowed: cosine, euclidean"):
        make(k=1, metric="l7", seed=0)
    with pytest.raises(ValueError, match="k=11 neighbours of n_samples=10"):
        make(k=11, metric="cosine", seed=0).fit(values, labels)
    with pytest.raises(ValueError, match="k=11"):
        list(path([{"k": 11, "metric": "cosine"}], values, labels, values, seed=0))
    values[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        make(k=1, metric="cosine", seed=0).fit(values, labels)

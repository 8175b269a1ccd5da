"""A projection before the head, and views as rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from classifiers.data import Features
from classifiers.evaluate import evaluate_head
from classifiers.fit import fit_head
from classifiers.heads import make_head, score_held, scores_of
from classifiers.prepared import as_rows, labels_of_rows, scores_of_images
from classifiers.projection import principal_components
from classifiers.spec import Choice, HeadSpec
from classifiers.store import load_run, read_json
from features.errors import UserError

WriteFeatures = Callable[..., Path]

SETTINGS = {"logistic": {"C": 0.1}, "svm": {"C": 0.01}, "knn": {"k": 3, "metric": "cosine"}}


@pytest.fixture
def rows() -> np.ndarray:
    """Correlated features on several scales, one of them constant."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 8)) @ rng.normal(size=(8, 8)) * 10.0 ** np.arange(-3, 5)
    values[:, 4] = 3.0
    found: np.ndarray = values.astype(np.float32)
    return found


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("lazy", [False, True])
def test_the_projection_is_pca_of_the_standardised_features(
    rows: np.ndarray, whiten: bool, lazy: bool
) -> None:
    given = da.from_array(rows, chunks=(70, 8)) if lazy else rows
    ours = np.asarray(principal_components(given, 5, whiten=whiten)(given))
    theirs = PCA(5, whiten=whiten).fit_transform(StandardScaler().fit_transform(rows))
    # scikit-learn divides by n - 1, and an eigenvector has no sign.
    assert ours.dtype == np.float32
    assert np.abs(ours) == pytest.approx(np.abs(theirs), rel=0.01, abs=0.02)


def test_whitened_features_are_uncorrelated_and_what_is_constant_stays_zero(
    rows: np.ndarray,
) -> None:
    found = principal_components(rows, None, whiten=True)(rows)
    covariance = found.T.astype(float) @ found / len(found)
    assert covariance == pytest.approx(np.diag([1, 1, 1, 1, 1, 1, 1, 0]), abs=2e-3)


def test_more_components_than_dimensions_are_refused(features_path: Path, tmp_path: Path) -> None:
    head = HeadSpec("logistic", {"C": 1.0}, Choice("late", pca=7))
    with pytest.raises(UserError, match="pca: 7 components of 6 dimensions"):
        fit_head(features_path, head, tmp_path / "run", validation=0.2, seed=0)


@pytest.mark.parametrize("type", SETTINGS)
def test_views_as_rows_are_the_plain_head_on_all_views(type: str) -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 3
    X = (rng.normal(size=(60, 2, 5)) + labels[:, None, None]).astype(np.float32)
    new = rng.normal(size=(20, 2, 5)).astype(np.float32)
    head = make_head(type, SETTINGS[type], 0, Choice(view="rows"))
    head.fit(X, labels)
    flat = np.concatenate([X[:, 0], X[:, 1]])
    plain = make_head(type, SETTINGS[type], 0).fit(flat, np.tile(labels, 2))
    expected = (scores_of(plain, new[:, 0]) + scores_of(plain, new[:, 1])) / 2
    assert scores_of(head, new) == pytest.approx(expected, abs=1e-3)
    assert np.array_equal(head.predict(new), expected.argmax(axis=1))
    assert hasattr(head, "predict_proba") == hasattr(plain, "predict_proba")


def test_two_classes_are_predicted_by_the_mean_over_views() -> None:
    X = np.array([[[-1.0], [-2.0]], [[1.0], [2.0]]] * 10, dtype=np.float32)
    head = make_head("svm", {"C": 1.0}, 0, Choice(view="rows")).fit(X, np.arange(20) % 2)
    assert head.predict(np.array([[[-3.0], [1.0]], [[3.0], [-1.0]]], np.float32)).tolist() == [0, 1]


def test_dask_rows_of_views_are_those_in_memory() -> None:
    values = np.random.default_rng(0).normal(size=(50, 3, 4)).astype(np.float32)
    lazy = as_rows(da.from_array(values, chunks=(20, 3, 4)))
    assert lazy.chunks == ((60, 60, 30), (4,))
    assert np.array_equal(lazy.compute(), as_rows(values))
    labels = np.arange(50)
    assert np.array_equal(labels_of_rows(labels, values)[:4], [0, 0, 0, 1])
    assert scores_of_images(as_rows(values), values) == pytest.approx(values.mean(axis=1), abs=1e-6)


@pytest.mark.parametrize("type", SETTINGS)
@pytest.mark.parametrize("choice", [Choice("all", "rows"), Choice("all", "rows", True, 6, True)])
def test_the_search_the_saved_head_and_the_evaluation_see_the_same(
    type: str, choice: Choice, write: WriteFeatures, tmp_path: Path
) -> None:
    path = write(train=np.arange(90) % 3, test=np.arange(40) % 3, noise=4)
    folder = tmp_path / f"net.{type}.0"
    fit_head(path, HeadSpec(type, SETTINGS[type], choice), folder, validation=0.2, seed=0)
    evaluate_head(path, folder)
    fitted = read_json(folder / "fit.json")
    assert (folder / "projection.npz").exists() == choice.projects
    assert fitted["dimensions"] == 10
    head, size = load_run(folder, fitted)
    assert size == read_json(folder / "metrics.json")["head_bytes"]
    with Features(path) as opened:
        test, X, y = (
            opened.matrix("test", choice),
            opened.matrix("train", choice),
            opened.labels("train"),
        )
    with np.load(folder / "predictions.npz") as kept:
        assert np.array_equal(head.predict(test), kept["predicted"])
    refitted = make_head(type, SETTINGS[type], 0, choice).fit(X, y)
    assert scores_of(refitted, test) == pytest.approx(scores_of(head, test), abs=1e-3)
    # Along a path the minimum is met less closely.
    (scored,) = score_held(type, [SETTINGS[type]], X, y, (test, np.zeros(40)), 0, choice)
    assert scored.scores == pytest.approx(scores_of(head, test), abs=1e-2)


def test_a_projection_of_an_earlier_fit_does_not_stay(features_path: Path, tmp_path: Path) -> None:
    for choice in (Choice("all", pca=3), Choice("all")):
        head = HeadSpec("ridge", {"alpha": 1.0}, choice)
        fit_head(features_path, head, tmp_path, validation=0.2, seed=0)
    assert not (tmp_path / "projection.npz").exists()


def test_a_damaged_projection_is_told(features_path: Path, tmp_path: Path) -> None:
    head = HeadSpec("ridge", {"alpha": 1.0}, Choice("all", pca=3))
    fit_head(features_path, head, tmp_path, validation=0.2, seed=0)
    (tmp_path / "projection.npz").write_bytes(b"rubbish")
    with pytest.raises(UserError, match=r"projection\.npz: missing or damaged"):
        load_run(tmp_path, read_json(tmp_path / "fit.json"))

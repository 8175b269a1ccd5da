"""The linear heads against float64 scikit-learn, on small problems of every awkward kind."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import RidgeClassifier as Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from classifiers.heads import lda, logistic, nearest_mean, ridge, svm
from classifiers.heads.linear import LinearHead

KINDS = (
    "clusters",
    "separable",
    "collinear",
    "constant columns",
    "one row a class",
    "unbalanced",
    "more columns than rows",
    "far from zero",
)

Problem = tuple[np.ndarray, np.ndarray]


def problem(kind: str, classes: int, seed: int) -> Problem:
    """float32 features and labels 0, 1, ..., none of which is missing."""
    rng = np.random.default_rng(seed)
    rows, width = max(60, 4 * classes), int(rng.integers(2, 12))
    if kind == "one row a class":
        rows = classes
    if kind == "more columns than rows":
        width = rows + 10
    labels = np.arange(rows) % classes
    if kind == "unbalanced":
        labels[classes:] = 0
    spread = 40.0 if kind == "separable" else 1.0
    X = spread * rng.normal(size=(classes, width))[labels] + rng.normal(size=(rows, width))
    if kind == "collinear":
        X = np.hstack([X, X[:, :1] + X[:, 1:2], X[:, :1], 3 * X[:, 1:2]])
    if kind == "constant columns":
        X = np.hstack([X, np.zeros((rows, 1)), np.full((rows, 1), 0.1), np.full((rows, 1), 1e6)])
    if kind == "far from zero":
        X = X + rng.choice([-1, 1], X.shape[1]) * 10 ** rng.uniform(2, 4, X.shape[1])
    order = rng.permutation(rows)
    return X[order].astype(np.float32), labels[order]


PROBLEMS = st.builds(problem, st.sampled_from(KINDS), st.integers(2, 12), st.integers(0, 10_000))
PENALTIES = st.sampled_from([1e-3, 0.1, 10.0])
several = settings(deadline=None, max_examples=60)


def standardised(X: np.ndarray) -> np.ndarray:
    """By scikit-learn, in float64."""
    scaled: np.ndarray = StandardScaler().fit_transform(X.astype(np.float64))
    return scaled


def weights(head: LinearHead, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A head's weights of standardised features, and its intercepts."""
    scaler = StandardScaler().fit(X.astype(np.float64))
    return head.coef_ * scaler.scale_, head.intercept_ + head.coef_ @ scaler.mean_


def log_loss(W: np.ndarray, b: np.ndarray, Z: np.ndarray, y: np.ndarray, C: float) -> float:
    """scikit-learn's objective; of two classes in its own form, with one row of weights."""
    if len(W) == 2:
        w = W[1] - W[0]
        W, b, penalised = np.stack([0 * w, w]), np.array([0, b[1] - b[0]]), w
    else:
        penalised = W
    lost = -log_softmax(Z @ W.T + b, axis=1)[np.arange(len(y)), y].sum()
    return float(C * lost + (penalised**2).sum() / 2)


def hinge_loss(
    w: np.ndarray, b: float, Z: np.ndarray, sign: np.ndarray, C: float
) -> tuple[float, np.ndarray]:
    """The value and gradient of one class against the rest."""
    slack = np.maximum(1 - sign * (Z @ w + b), 0)
    slope = -2 * C * sign * slack
    return C * (slack**2).sum() + w @ w / 2, np.append(slope @ Z + w, slope.sum())


@several
@given(PROBLEMS, PENALTIES)
@example(problem("clusters", 1000, 0), 0.1)
def test_logistic_reaches_the_objective_of_scikit_learn(given: Problem, C: float) -> None:
    X, y = given
    Z = standardised(X)
    peer = LogisticRegression(C=C, tol=1e-9, max_iter=2000).fit(Z, y)
    head = logistic.make(C=C, seed=0).fit(X, y)
    assert head.converged_
    W, b = peer.coef_, peer.intercept_
    if len(W) == 1:
        W, b = np.concatenate([-W / 2, W / 2]), np.concatenate([-b / 2, b / 2])
    best, found = log_loss(W, b, Z, y, C), log_loss(*weights(head, X), Z, y, C)
    assert found <= best * (1 + 2e-5)
    close = np.abs(head.predict_proba(X) - peer.predict_proba(Z)).max()
    assert close < 0.02


@several
@given(PROBLEMS, PENALTIES)
def test_the_svm_reaches_the_minimum_of_its_objective(given: Problem, C: float) -> None:
    X, y = given
    Z = standardised(X)
    head = svm.make(C=C, seed=0).fit(X, y)
    assert head.converged_
    W, b = weights(head, X)
    if len(W) == 2:
        W, b = W[1:] - W[:1], b[1:] - b[:1]
    best = found = 0.0
    for label, (w, intercept) in enumerate(zip(W, b, strict=True), start=2 - min(2, len(W))):
        sign = np.where(y == label, 1.0, -1.0)
        found += hinge_loss(w, intercept, Z, sign, C)[0]
        result = minimize(
            lambda x, sign=sign: hinge_loss(x[:-1], x[-1], Z, sign, C),
            np.append(w, intercept),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 5000, "maxfun": 20000, "ftol": 1e-14, "gtol": 1e-9},
        )
        best += result.fun
    assert found <= best * (1 + 2e-5)


@several
@given(PROBLEMS, st.sampled_from([1.0, 30.0, 1e4]))
def test_ridge_decides_as_scikit_learn_s(given: Problem, alpha: float) -> None:
    X, y = given
    Z = standardised(X)
    peer = Ridge(alpha=alpha).fit(Z, y)
    head = ridge.make(alpha=alpha, seed=0).fit(X, y)
    assert head.decision_function(X) == pytest.approx(peer.decision_function(Z), abs=2e-3)


@several
@given(PROBLEMS, st.sampled_from([0.01, 0.3, 1.0]))
def test_lda_decides_as_scikit_learn_s(given: Problem, shrinkage: float) -> None:
    X, y = given
    if len(np.unique(y)) == len(y):  # nothing varies within a class
        return
    Z = standardised(X)
    peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(Z, y)
    head = lda.make(shrinkage=shrinkage, seed=0).fit(X, y)
    assert np.abs(head.predict_proba(X) - peer.predict_proba(Z)).max() < 5e-3


@pytest.mark.parametrize("kind", ["clusters", "collinear", "unbalanced", "far from zero"])
@pytest.mark.parametrize("classes", [2, 9])
def test_float32_reaches_the_minimum_too(
    kind: str, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which small problems are not computed with of themselves."""
    X, y = problem(kind, classes, 7)
    for module in (logistic, svm):
        exact = module.make(C=0.1, seed=0).fit(X, y)
        with monkeypatch.context() as patch:
            patch.setattr("classifiers.solvers.rows.SMALL", 0)
            head = module.make(C=0.1, seed=0).fit(X, y)
        assert head.converged_
        apart = np.abs(head.decision_function(X) - exact.decision_function(X)).max()
        assert apart < 0.02 * np.abs(exact.decision_function(X)).max()


def test_lda_without_shrinkage_is_scikit_learn_s_on_what_varies() -> None:
    X, y = problem("collinear", 4, 1)
    peer = LinearDiscriminantAnalysis(solver="svd").fit(standardised(X), y)
    head = lda.make(shrinkage=0.0, seed=0).fit(X, y)
    assert np.array_equal(head.predict(X), peer.predict(standardised(X)))


@several
@given(PROBLEMS)
def test_the_nearest_mean_is_the_nearest(given: Problem) -> None:
    X, y = given
    Z = standardised(X)
    for metric in nearest_mean.METRICS:
        rows = Z
        if metric == "cosine":
            rows = Z / np.maximum(np.linalg.norm(Z, axis=1, keepdims=True), 1e-30)
        means = np.stack([rows[y == label].mean(axis=0) for label in np.unique(y)])
        if metric == "cosine":
            near = Z @ (means / np.maximum(np.linalg.norm(means, axis=1), 1e-30)[:, None]).T
        else:
            near = -((Z[:, None] - means) ** 2).sum(axis=2)
        head = nearest_mean.make(metric=metric, seed=0).fit(X, y)
        chosen = near[np.arange(len(y)), head.predict(X)]
        assert chosen == pytest.approx(near.max(axis=1), abs=2e-3 * (1 + np.abs(near).max()))


HEADS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "logistic": (logistic, [{"C": 0.01}, {"C": 10.0}, {"C": 0.3}]),
    "svm": (svm, [{"C": 0.01}, {"C": 10.0}, {"C": 0.3}]),
    "ridge": (ridge, [{"alpha": 100.0}, {"alpha": 1.0}]),
    "lda": (lda, [{"shrinkage": 1.0}, {"shrinkage": 0.1}]),
    "nearest_mean": (nearest_mean, [{"metric": "euclidean"}, {"metric": "cosine"}]),
}


def scores(head: LinearHead, X: np.ndarray) -> np.ndarray:
    """With a column a class."""
    if hasattr(head, "predict_proba"):
        return head.predict_proba(X)
    found = head.decision_function(X)
    return np.column_stack([-found, found]) if found.ndim == 1 else found


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("name", HEADS)
def test_a_path_is_the_fits_one_by_one(name: str, classes: int) -> None:
    module, candidates = HEADS[name]
    X, y = problem("clusters", classes, 3)
    X, held, y = X[:50], X[50:], y[:50]
    found = list(module.path(candidates, X, y, held, seed=0))
    assert len(found) == len(candidates)
    for values, setting in zip(found, candidates, strict=True):
        alone = scores(module.make(seed=0, **setting).fit(X, y), held)
        assert values.dtype == np.float32
        assert values.shape == (len(held), classes)
        assert np.abs(values - alone).max() < 0.01 * np.abs(alone).max()


@pytest.mark.parametrize("name", HEADS)
def test_dask_and_a_device_answer_as_memory_does(name: str) -> None:
    import dask.array as da

    module, candidates = HEADS[name]
    X, y = problem("far from zero", 4, 5)
    head = module.make(seed=0, **candidates[-1]).fit(X, y)
    lazy = da.from_array(X, chunks=(17, 2))
    arrays = [lazy]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if jax := _jax():
            arrays.append(jax.numpy.asarray(X))
    for other in arrays:
        again = module.make(seed=0, **candidates[-1]).fit(other, y)
        scale = np.abs(scores(head, X)).max()
        assert np.abs(scores(again, other) - scores(head, X)).max() < 0.01 * scale
        assert np.array_equal(again.predict(other), again.predict(X))
        (values,) = module.path(candidates[-1:], other, y, lazy, seed=0)
        assert np.abs(values - scores(head, X)).max() < 0.01 * scale


def _jax() -> Any:
    try:
        import jax
    except ImportError:
        return None
    return jax


@pytest.mark.parametrize("name", HEADS)
def test_a_column_constant_in_training_decides_nothing_later(name: str) -> None:
    module, candidates = HEADS[name]
    X, y = problem("constant columns", 3, 2)
    head = module.make(seed=0, **candidates[0]).fit(X, y)
    later = X + np.where(X.std(axis=0) == 0, 1e3, 0).astype(np.float32)
    assert not head.coef_[:, -3:].any()
    assert np.array_equal(head.predict(later), head.predict(X))


@pytest.mark.parametrize("name", ["logistic", "svm"])
def test_one_that_does_not_converge_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifiers.solvers.penalised.EVALUATIONS", 3)
    module, _ = HEADS[name]
    X, y = problem("clusters", 4, 0)
    with pytest.warns(ConvergenceWarning, match="not converged after reading the features 3 times"):
        head = module.make(C=10.0, seed=0).fit(X, y)
    assert (head.converged_, head.n_iter_) == (False, 3)
    with pytest.warns(ConvergenceWarning):
        next(module.path([{"C": 10.0}], X, y, X, seed=0))


@pytest.mark.parametrize(
    ("module", "setting"),
    [
        (logistic, {"C": 0}),
        (svm, {"C": -1.0}),
        (ridge, {"alpha": 0.0}),
        (lda, {"shrinkage": 1.5}),
        (nearest_mean, {"metric": "l7"}),
    ],
)
def test_an_impossible_setting_is_told(module: Any, setting: dict[str, Any]) -> None:
    X, y = problem("clusters", 3, 0)
    (name,) = setting
    with pytest.raises(ValueError, match=name):
        module.make(seed=0, **setting).fit(X, y)
    with pytest.raises(ValueError, match=name):
        next(module.path([setting], X, y, X, seed=0))


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused_lazy_or_not(name: str, value: float) -> None:
    import dask.array as da

    module, candidates = HEADS[name]
    X, y = problem("clusters", 3, 0)
    X[7, 1] = value
    for features in (X, da.from_array(X, chunks=(20, -1))):
        with pytest.raises(ValueError, match=r"X contains .*(NaN|infinity)"):
            module.make(seed=0, **candidates[0]).fit(features, y)


@parametrize_with_checks(
    [
        logistic.LogisticClassifier(),
        svm.LinearSVMClassifier(),
        ridge.RidgeClassifier(),
        lda.LDAClassifier(),
        nearest_mean.NearestMeanClassifier(),
        nearest_mean.NearestMeanClassifier(metric="cosine"),
    ]
)
def test_scikit_learn_s_own_checks(estimator: LinearHead, check: Any) -> None:
    check(estimator)

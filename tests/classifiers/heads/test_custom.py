"""A user's own estimator, good and bad."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from classifiers.heads import class_scores
from classifiers.heads.custom import CustomClassifier, make
from classifiers.store import load_head, save_head
from features.errors import UserError

MODULE = '''
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin


class Nearest(ClassifierMixin, BaseEstimator):
    """The nearest class mean; neither probabilities nor decision values."""

    def __init__(self, power=2.0, random_state=None):
        self.power = power
        self.random_state = random_state

    def fit(self, X, y):
        assert abs(X.mean()) < 1e-3, "the features come standardised"
        assert set(y) == set(range(len(set(y)))), "the classes come numbered without gaps"
        self.classes_ = np.unique(y)
        self.means_ = Means(np.stack([X[y == c].mean(axis=0) for c in self.classes_]))
        return self

    def predict(self, X):
        distances = (np.abs(X[:, None] - self.means_.values) ** self.power).sum(axis=2)
        return self.classes_[distances.argmin(axis=1)]


class Means:
    def __init__(self, values):
        self.values = values


class Sure(Nearest):
    def predict_proba(self, X):
        return np.eye(len(self.classes_))[self.predict(X)]


class Odd(Nearest):
    def decision_function(self, X):
        return np.zeros((len(X), 7))


class Strange(Nearest):
    def fit(self, X, y):
        super().fit(X, y)
        self.rule = lambda x: x
        return self


class Foreign(Nearest):
    def fit(self, X, y):
        import pathlib
        super().fit(X, y)
        self.path = pathlib.PurePosixPath("x")
        return self


class Touchy(Nearest):
    def __init__(self, power):
        raise OSError("no licence")


class Line(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        return self

    def predict(self, X):
        return X[:, 0]


class Plain:
    def predict(self, X):
        return X


def function():
    pass
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "studies").mkdir()
    (folder / "studies" / "own_heads.py").write_text(MODULE)
    (folder / "other_heads.py").write_text("from own_heads import Nearest\n")
    (folder / "broken_heads.py").write_text("1 / 0\n")
    (folder / "needy_heads.py").write_text("import there_is_no_such_module\n")
    return folder


@pytest.fixture(autouse=True)
def in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.endswith("_heads")]:
        del sys.modules[name]


@pytest.fixture(params=[[0, 2, 3], ["bee", "ant"]], ids=["three", "two"])
def problem(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    which = np.arange(60) % len(request.param)
    values = 40 * rng.normal(size=(3, 5))[which] + rng.normal(size=(60, 5)) + 100
    return values.astype(np.float32), np.array(request.param)[which]


@parametrize_with_checks([CustomClassifier()])
def test_it_is_an_estimator(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["own_heads:Nearest", "own_heads.Nearest", "other_heads:Nearest"])
def test_an_estimator_without_scores_scores_1_for_what_it_predicts(
    name: str, problem: tuple[np.ndarray, np.ndarray]
) -> None:
    values, labels = problem
    head = make(estimator=name, seed=5, power=1.0).fit(values, labels)
    assert np.array_equal(head.predict(values), labels)
    assert not hasattr(head, "predict_proba")
    assert head.model_[-1].get_params() == {"power": 1.0, "random_state": 5}
    scores = head.decision_function(values)
    if len(head.classes_) == 3:
        assert np.array_equal(scores, np.eye(3)[np.searchsorted(head.classes_, labels)])
    else:
        assert np.array_equal(scores > 0, labels == "bee")


def test_a_class_that_training_lacks_is_never_predicted(
    problem: tuple[np.ndarray, np.ndarray],
) -> None:
    values, labels = problem
    if labels.dtype.kind == "i":
        head = make(estimator="own_heads:Nearest", seed=0).fit(values, labels)
        assert np.array_equal(class_scores(head, values, 5).argmax(axis=1), labels)


def test_probabilities_are_those_of_the_estimator(problem: tuple[np.ndarray, np.ndarray]) -> None:
    head = make(estimator="own_heads:Sure", seed=0).fit(*problem)
    assert not hasattr(head, "decision_function")
    assert head.predict_proba(problem[0]).shape == (60, len(head.classes_))


def test_an_installed_estimator_keeps_the_random_state_it_is_given() -> None:
    name = "sklearn.ensemble:RandomForestClassifier"
    head = make(estimator=name, seed=5, n_estimators=3, random_state=9)
    head.fit(np.eye(6), np.arange(6) % 2)
    assert head.model_[-1].random_state == 9


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"estimator": "no_heads:Net"}, "no module 'no_heads'; install it, or put its file beside"),
        ({"estimator": "own_heads.deep:Net"}, "no module 'own_heads.deep'"),
        ({"estimator": "needy_heads:Net"}, "needy_heads imports it: no module 'there_is_no_such"),
        ({"estimator": "broken_heads:Net"}, "importing broken_heads fails: ZeroDivisionError"),
        ({"estimator": "own_heads:Nearst"}, "own_heads has no Nearst; do you mean Nearest?"),
        ({"estimator": "Nearest"}, "write it as package.module:Class"),
        ({"estimator": "own heads:Nearest"}, "write it as package.module:Class"),
        ({"estimator": "own_heads:function"}, "no scikit-learn estimator (it is no class)"),
        ({"estimator": "own_heads:Plain"}, "no scikit-learn estimator (no fit, get_params, set_"),
        ({"estimator": "own_heads:Line"}, "no classifier; derive it from sklearn.base.Classifier"),
        ({"estimator": "own_heads:Touchy", "power": 1}, "cannot be made: OSError('no licence')"),
        (
            {"estimator": "own_heads:Nearest", "powr": 1},
            "own_heads:Nearest: no parameter 'powr'; allowed: power, random_state",
        ),
    ],
)
def test_a_mistake_is_told(settings: dict[str, object], told: str) -> None:
    with pytest.raises(UserError) as error:
        make(seed=0, **settings)  # type: ignore[arg-type]
    assert told in str(error.value)


def test_scores_of_another_shape_are_refused(problem: tuple[np.ndarray, np.ndarray]) -> None:
    head = make(estimator="own_heads:Odd", seed=0).fit(*problem)
    with pytest.raises(ValueError, match=r"decision_function gave the shape \(60, 7\), expected"):
        head.decision_function(problem[0])


@pytest.mark.parametrize(
    "name",
    [
        "own_heads:Nearest",
        "own_heads:Sure",
        "sklearn.ensemble:RandomForestClassifier",
        "sklearn.neural_network:MLPClassifier",
        "sklearn.svm:SVC",
    ],
)
def test_a_saved_estimator_is_the_estimator(
    name: str, problem: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    head = make(estimator=name, seed=0).fit(*problem)
    loaded = load_head(save_head(head, tmp_path), estimator=name)
    assert np.array_equal(loaded.classes_, head.classes_)
    assert np.array_equal(loaded.predict(problem[0]), head.predict(problem[0]))
    method = "predict_proba" if hasattr(head, "predict_proba") else "decision_function"
    assert hasattr(loaded, method)
    scores = [getattr(each, method)(problem[0]) for each in (head, loaded)]
    assert np.array_equal(*scores)


@pytest.mark.parametrize("trusted", [None, "sklearn.svm:SVC", "other_heads:Nearest"])
def test_a_file_s_own_classes_are_trusted_only_where_the_study_names_them(
    trusted: str | None, problem: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    head = make(estimator="own_heads:Nearest", seed=0).fit(*problem)
    path = save_head(head, tmp_path)
    with pytest.raises(UserError, match="not a whole head"):
        load_head(path, estimator=trusted)


@pytest.mark.parametrize(
    ("name", "told"), [("own_heads:Strange", "cannot be saved"), ("own_heads:Foreign", "it holds")]
)
def test_what_could_not_be_read_again_is_not_saved(
    name: str, told: str, problem: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    head = make(estimator=name, seed=0).fit(*problem)
    with pytest.raises(UserError, match=told):
        save_head(head, tmp_path)
    assert not list(tmp_path.iterdir())

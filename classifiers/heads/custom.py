"""A user's own estimator, named by where it is imported from."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, is_classifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from classifiers.heads.where import look_in_folders, parts_of
from features.errors import UserError


def make(*, estimator: str, seed: int, **parameters: Any) -> CustomClassifier:
    """The user's estimator behind standardisation.

    Args:
        estimator: `package.module:Class` or `package.module.Class`. The module is installed, or
            lies beside the study or in the folder in which snakemake is called.
        seed: The estimator's `random_state`, where it has one.
        parameters: Of the estimator's constructor.

    Raises:
        UserError: There is no such module or class, it is no scikit-learn classifier, or it takes
            no such parameter.
    """
    build(estimator, parameters, seed)
    return CustomClassifier(estimator, parameters, seed)


def find_class(estimator: str) -> type[BaseEstimator]:
    """Imports a class of scikit-learn classifiers.

    Raises:
        UserError: There is no such module or class, its import fails, or it is no classifier.
    """
    module, name = parts_of(estimator)
    look_in_folders()
    # Whatever a user's module raises while it is imported is the user's to mend.
    try:
        found = getattr(import_module(module), name, None)
    except ModuleNotFoundError as error:
        missing = f"no module {error.name!r}"
        if module == error.name or module.startswith(f"{error.name}."):
            advice = "install it, or put its file beside the study or where you call snakemake"
            raise UserError(f"estimator {estimator}: {missing}; {advice}") from error
        raise UserError(f"estimator {estimator}: {module} imports it: {missing}") from error
    except Exception as error:
        raise UserError(f"estimator {estimator}: importing {module} fails: {error!r}") from error
    if found is None:
        near = difflib.get_close_matches(name, dir(sys.modules[module]), 1)
        hint = f"; do you mean {near[0]}?" if near else ""
        raise UserError(f"estimator {estimator}: {module} has no {name}{hint}")
    wanted = ("fit", "predict", "get_params", "set_params")
    lacking = [method for method in wanted if not callable(getattr(found, method, None))]
    if not isinstance(found, type) or lacking:
        lack = f"no {', '.join(lacking)}" if isinstance(found, type) else "it is no class"
        raise UserError(
            f"estimator {estimator}: no scikit-learn estimator ({lack}); derive it from "
            "sklearn.base.ClassifierMixin and sklearn.base.BaseEstimator"
        )
    return found


def build(estimator: str, parameters: Mapping[str, Any], seed: int) -> Pipeline:
    """Standardisation and the user's estimator, not yet fitted.

    Raises:
        UserError: As in `make`.
    """
    kind = find_class(estimator)
    allowed = list(inspect.signature(kind).parameters)
    wrong = [name for name in parameters if name not in allowed]
    if wrong:
        names = ", ".join(allowed) or "none"
        raise UserError(f"estimator {estimator}: no parameter {wrong[0]!r}; allowed: {names}")
    try:
        made = kind(**parameters)
        if "random_state" in made.get_params() and "random_state" not in parameters:
            made.set_params(random_state=seed)
        classifies = is_classifier(made)
    except Exception as error:
        raise UserError(f"estimator {estimator} cannot be made: {error!r}") from error
    if not classifies:
        raise UserError(
            f"estimator {estimator}: no classifier; derive it from sklearn.base.ClassifierMixin"
        )
    return make_pipeline(StandardScaler(), made)


def _has(method: str) -> Callable[[CustomClassifier], bool]:
    """Whether the user's estimator has a method, or, for decision values, can do without."""

    def has(self: CustomClassifier) -> bool:
        model = self.model_ if hasattr(self, "model_") else find_class(self.estimator)
        if method == "decision_function" and not hasattr(model, "predict_proba"):
            return True
        return hasattr(model, method)

    return has


class CustomClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The user's estimator on standardised features, with what the rest of this package asks for.

    The estimator sees classes numbered from 0 without gaps. One that has neither `predict_proba`
    nor `decision_function` scores 1 for the class that it predicts and 0 for all others.

    Attributes:
        classes_: The labels seen in training, sorted.
        model_: The fitted pipeline of standardisation and the user's estimator.
    """

    def __init__(
        self,
        estimator: str = "sklearn.linear_model:LogisticRegression",
        parameters: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        """Keeps the settings as they come, as scikit-learn wants it."""
        self.estimator = estimator
        self.parameters = parameters
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fits the user's estimator on features (n, features) and labels (n,)."""
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, targets = np.unique(y, return_inverse=True)
        self.model_ = build(self.estimator, self.parameters or {}, self.seed).fit(X, targets)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The label that the user's estimator predicts for each row, (n,)."""
        predicted = self._predicted(X)
        labels: np.ndarray = self.classes_[predicted]
        return labels

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """The probability of each of `classes_`, (n, classes), as the user's estimator gives it."""
        return self._scores("predict_proba", X)

    @available_if(_has("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """The decision values, (n, classes), or (n,) for two classes."""
        check_is_fitted(self, "model_")
        if hasattr(self.model_, "decision_function"):
            return self._scores("decision_function", X)
        predicted = self._predicted(X)
        scores: np.ndarray = np.eye(len(self.classes_), dtype=np.float32)[predicted]
        return scores if scores.shape[1] > 2 else scores[:, 1] - scores[:, 0]

    def _predicted(self, X: np.ndarray) -> np.ndarray:
        """Places in `classes_`, int64 (n,)."""
        places: np.ndarray = self._ask("predict", X).astype(np.int64).ravel()
        return places

    def _scores(self, method: str, X: np.ndarray) -> np.ndarray:
        scores = self._ask(method, X)
        classes = len(self.classes_)
        single = classes == 2 and method == "decision_function"
        expected = (len(X),) if single else (len(X), classes)
        if scores.shape != expected:
            raise ValueError(
                f"{self.estimator}: {method} gave the shape {scores.shape}, expected {expected}"
            )
        return scores

    def _ask(self, method: str, X: np.ndarray) -> np.ndarray:
        check_is_fitted(self, "model_")
        X = validate_data(self, X, dtype=np.float32, reset=False)
        answer: np.ndarray = np.asarray(getattr(self.model_, method)(X))
        return answer

"""The heads: one file each, behind one registry.

Every head is a scikit-learn estimator. Those of scikit-learn are a pipeline of standardisation,
with the statistics of the rows it is fitted on, and the classifier; the dense head standardises
inside its network. All take labels as they come and remember those they saw in `classes_`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from features.errors import UserError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

HEADS: dict[str, str] = {
    "logistic": "classifiers.heads.logistic",
    "svm": "classifiers.heads.svm",
    "ridge": "classifiers.heads.ridge",
    "knn": "classifiers.heads.knn",
    "dense": "classifiers.heads.dense",
}
"""Each type's module, imported when it is made; its `make` takes the settings and a seed."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "logistic": {"C": [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1]},
    "svm": {"C": [0.00003, 0.0001, 0.0003, 0.001, 0.003]},
    "ridge": {"alpha": [1e5, 3e4, 1e4, 3e3, 1e3, 300.0, 100.0, 10.0, 1.0]},
    "knn": {"k": [50, 30, 20, 10, 5], "metric": "cosine"},
    "dense": {
        "hidden": [256],
        "dropout": 0.5,
        "optimizer": "adam",
        "learning_rate": 0.0003,
        "epochs": 20,
        "batch_size": 128,
    },
}
"""Every setting of every head with its default, a grid where it is a list (the more regularised
value first); `hidden` is a list by nature."""


def make_head(type: str, settings: Mapping[str, Any], seed: int) -> BaseEstimator:
    """Makes an estimator that is not yet fitted.

    Args:
        type: A key of `HEADS`.
        settings: All of its settings, one value each; `DEFAULTS` names them.
        seed: Of whatever the head draws at random.

    Raises:
        UserError: The type is unknown, or a setting is unknown, missing or impossible.
    """
    if type not in HEADS:
        raise UserError(f"no head of type {type!r}; allowed: {', '.join(HEADS)}")
    names = DEFAULTS[type]
    wrong = [name for name in settings if name not in names]
    if wrong:
        raise UserError(f"head {type}: no setting {wrong[0]!r}; allowed: {', '.join(names)}")
    missing = [name for name in names if name not in settings]
    if missing:
        raise UserError(f"head {type}: the setting {missing[0]!r} is missing")
    head: BaseEstimator = import_module(HEADS[type]).make(seed=seed, **settings)
    return head

"""The heads: one file each, behind one registry.

Every head is a scikit-learn estimator that standardises with the statistics of the rows it is
fitted on, takes labels as they come and remembers those it saw in `classes_`. The module of a type
has `make`, which takes its settings and a seed, and may have `path`, which scores held-out rows by
many candidates and shares between them what fitting them has in common.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.spec import Choice
from features.errors import UserError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

HEADS: dict[str, str] = {
    "logistic": "classifiers.heads.logistic",
    "svm": "classifiers.heads.svm",
    "ridge": "classifiers.heads.ridge",
    "lda": "classifiers.heads.lda",
    "nearest_mean": "classifiers.heads.nearest_mean",
    "knn": "classifiers.heads.knn",
    "rbf_svm": "classifiers.heads.rbf_svm",
    "dense": "classifiers.heads.dense",
    "custom": "classifiers.heads.custom",
}
"""Each type's module, imported when it is made."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "logistic": {"C": [0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0]},
    "svm": {
        "C": [
            *(0.000003, 0.00001, 0.00003, 0.0001, 0.0003),
            *(0.001, 0.003, 0.01, 0.03, 0.1),
        ]
    },
    "ridge": {"alpha": [float(f"{10 ** (6 - 7 * i / 49):.3g}") for i in range(50)]},
    "lda": {"shrinkage": [float(f"{10 ** (-4 * i / 49):.3g}") for i in range(50)]},
    "nearest_mean": {"metric": ["euclidean", "cosine"]},
    "knn": {"k": [50, 30, 20, 10, 5], "metric": "cosine"},
    "rbf_svm": {
        "C": [1.0, 3.0, 10.0, 30.0],
        "gamma": 0.5,
        "approximation": "auto",
        "components": 4096,
    },
    "dense": {
        "hidden": [256],
        "dropout": 0.5,
        "stack": None,
        "optimizer": "adam",
        "learning_rate": 0.0003,
        "schedule": "constant",
        "label_smoothing": 0.0,
        "epochs": 20,
        "batch_size": 128,
        "monitor": None,
        "patience": None,
        "standardise": True,
    },
    "custom": {"estimator": "", "parameters": {}},
}
"""Every setting of every head with its default, a grid where it is a list (the more regularised
value first); `hidden` and `stack` are lists by nature."""


STREAMED = frozenset({"logistic", "svm", "ridge", "lda", "nearest_mean", "dense"})
"""Types that take dask arrays too, and so features that are larger than memory."""


@dataclass(frozen=True)
class Scored:
    """What a candidate, fitted on some rows, says of others.

    Attributes:
        scores: float32 (rows, classes that it saw): probabilities or decision values.
        probabilities: Which of the two.
        refit: What a fit of the same candidate on more rows is told besides.
        status: How the fit ended, of a head that says so.
    """

    scores: np.ndarray
    probabilities: bool
    refit: dict[str, Any] = field(default_factory=dict)
    status: str | None = None


def score_held(
    type: str,
    candidates: Sequence[Mapping[str, Any]],
    X: Any,
    y: np.ndarray,
    held: tuple[Any, np.ndarray],
    seed: int,
    choice: Choice | None = None,
) -> Iterator[Scored]:
    """Fits one candidate after the other and scores held-out rows by it.

    Args:
        type: A key of `HEADS`.
        candidates: Settings, as for `make_head`.
        X: float32 (n, dimensions) or (n, views, dimensions), an array or, of a type in `STREAMED`,
            a dask array.
        y: int64 (n,).
        held: Rows and labels to score, and for heads that stop early to watch.
        seed: Of whatever a head draws at random.
        choice: Of the projection; none where missing.

    Raises:
        UserError: As in `make_head`.
    """
    from classifiers.prepared import as_rows, labels_of_rows, projection_of, scores_of_images

    rows, others = as_rows(X), as_rows(held[0])
    if projection := projection_of(choice or Choice(), rows):
        rows, others = projection(rows), projection(others)
    labels, truth = labels_of_rows(y, X), labels_of_rows(held[1], held[0])
    for scored in _score_rows(type, candidates, rows, labels, (others, truth), seed):
        yield replace(scored, scores=scores_of_images(scored.scores, held[0]))


def _score_rows(
    type: str,
    candidates: Sequence[Mapping[str, Any]],
    X: Any,
    y: np.ndarray,
    held: tuple[Any, np.ndarray],
    seed: int,
) -> Iterator[Scored]:
    heads = [make_head(type, settings, seed) for settings in candidates]
    module = import_module(HEADS[type])
    if hasattr(module, "path"):
        along = module.path(candidates, X, y, held[0], seed=seed)
        for head, scores in zip(heads, along, strict=True):
            yield Scored(scores, hasattr(head, "predict_proba"))
        return
    for head in heads:
        if getattr(head, "monitor", None):
            head.fit(X, y, validation=held)
            refit = {"until": head.epochs_}
        else:
            head.fit(X, y)
            refit = {}
        status = getattr(head, "status_", None)
        yield Scored(scores_of(head, held[0]), hasattr(head, "predict_proba"), refit, status)


def scores_of(head: BaseEstimator, values: np.ndarray) -> np.ndarray:
    """A fitted head's score for each of its `classes_`; the highest is its prediction.

    Returns:
        (rows, classes): probabilities, or the decision values of a head that gives none.
    """
    if hasattr(head, "predict_proba"):
        probabilities: np.ndarray = head.predict_proba(values)
        return probabilities
    decision: np.ndarray = head.decision_function(values)
    # Of two classes there is one value, positive for the second.
    return np.column_stack([-decision, decision]) if decision.ndim == 1 else decision


def class_scores(head: BaseEstimator, values: np.ndarray, classes: int) -> np.ndarray:
    """The same with a column for every class; see `spread`."""
    return spread(scores_of(head, values), head.classes_, classes, hasattr(head, "predict_proba"))


def spread(scores: np.ndarray, seen: np.ndarray, classes: int, probabilities: bool) -> np.ndarray:
    """Scores with a column for every class, also for those that a head never saw.

    Args:
        scores: (rows, classes seen).
        seen: int64, the classes seen.
        classes: How many classes there are.
        probabilities: What the scores are: a class never seen has the probability 0, or else the
            decision value minus infinity.

    Returns:
        float32 (rows, classes).
    """
    every = np.full((len(scores), classes), 0.0 if probabilities else -np.inf, dtype=np.float32)
    every[:, seen] = scores
    return every


def make_head(
    type: str, settings: Mapping[str, Any], seed: int, choice: Choice | None = None
) -> BaseEstimator:
    """Makes an estimator that is not yet fitted.

    Args:
        type: A key of `HEADS`.
        settings: All of its settings, one value each; `DEFAULTS` names them.
        seed: Of whatever the head draws at random.
        choice: What is done to the features before it, and whether views are rows.

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
    given = dict(settings)
    # A user's own estimator takes what the study says under `parameters`.
    given |= given.pop("parameters", {})
    head: BaseEstimator = import_module(HEADS[type]).make(seed=seed, **given)
    if choice is None or not (choice.projects or choice.view == "rows"):
        return head
    from classifiers.prepared import PreparedHead

    return PreparedHead(head, choice)

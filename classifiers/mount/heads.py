"""The heads as Keras' own layers, with the scores that they give on cached features."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.heads.knn import KnnClassifier
from classifiers.heads.linear import LinearHead
from classifiers.mount.layers import dense, standardisation, table

if TYPE_CHECKING:
    import keras
    from sklearn.base import BaseEstimator

Tensor = Any
Scores = Callable[[Tensor], Tensor]
"""From features, float32 (batch, dimensions), to the scores of `classes_`, float32 (batch, them):
probabilities, or the decision values of a head that gives none."""


def scores_in_graph(head: BaseEstimator, name: str, *, softmax: bool = True) -> Scores:
    """A head's scores as layers, which are the same for whatever they are called on.

    Args:
        head: A fitted head of a type in `classifiers.mount.runs.MOUNTED`.
        name: What the names of the layers begin with.
        softmax: Whether a head that gives probabilities by a softmax ends in it, or before it.
    """
    if isinstance(head, LinearHead):
        return _linear(head, name, softmax)
    if isinstance(head, KnnClassifier):
        return _neighbours(head, name)
    return _network(head.model_, name, softmax)


def _linear(head: LinearHead, name: str, softmax: bool) -> Scores:
    import keras

    probabilities = hasattr(head, "predict_proba")
    weights, intercept = head.coef_, head.intercept_
    if len(head.classes_) == 2 and not probabilities:
        # Minus and plus the one decision value.
        signs = np.array([[1.0, -1.0], [-1.0, 1.0]])
        weights, intercept = signs @ weights, signs @ intercept
    steps: list[Scores] = []
    if len(head.shift_):
        # Kept apart, as in the head: folded in, float32 would lose digits.
        intercept = intercept + weights @ head.shift_
        steps.append(standardisation(head.shift_, name=f"{name}shift"))
    steps.append(dense(weights.T, intercept, name=f"{name}scores", trainable=True))
    if probabilities and softmax:
        steps.append(keras.layers.Softmax(name=f"{name}softmax"))
    return _chain(steps)


def _neighbours(head: KnnClassifier, name: str) -> Scores:
    from keras import ops

    # The negative of what is least, for there is a search for the largest alone. As in the head,
    # of equal ones the first counts.
    rows, squares = -head.rows_.T, None
    if head.metric == "euclidean":
        rows, squares = rows[:-1], rows[-1]
    nearness = dense(rows, squares, name=f"{name}nearness")
    labels = table(head.targets_[:, None].astype(np.float32), name=f"{name}labels")

    def votes(standardised: Tensor) -> Tensor:
        _, places = ops.top_k(nearness(standardised), head.k)
        found = ops.cast(ops.squeeze(labels(places), axis=-1), "int32")
        return ops.mean(ops.one_hot(found, len(head.classes_)), axis=1)

    scaler = head.scaler_
    return _chain([standardisation(scaler.mean_, scaler.scale_, name=f"{name}standardise"), votes])


def _network(network: keras.Model, name: str, softmax: bool) -> Scores:
    import keras

    outputs = network.outputs if softmax else network.get_layer("logits").output
    whole: Scores = keras.Model(network.inputs, outputs, name=f"{name}network")
    return lambda features: keras.tree.flatten(whole(features))[0]


def _chain(steps: list[Scores]) -> Scores:
    def all_of_them(x: Tensor) -> Tensor:
        for step in steps:
            x = step(x)
        return x

    return all_of_them

"""A dense network, as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from features.progress import progress

if TYPE_CHECKING:
    import keras

PREDICT_ROWS = 4096


def make(*, seed: int, **settings: Any) -> DenseClassifier:
    """The dense head with these settings; the seed decides its start, order and dropout."""
    # Here and not first in `fit`, whose seconds are measured.
    import keras  # noqa: F401

    return DenseClassifier(**settings, seed=seed)


class DenseClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Dense layers with ReLU and dropout, then softmax, trained by Keras.

    The features are standardised by a layer of the network, with training statistics, so that the
    network alone turns features into probabilities. Two fits with one seed on one machine are
    equal.

    Attributes:
        classes_: The labels seen in training, sorted, as in the network's outputs.
        model_: The network: float32 (n, features) to probabilities (n, classes).
    """

    def __init__(
        self,
        hidden: Sequence[int] = (256,),
        dropout: float = 0.5,
        optimizer: str = "adam",
        learning_rate: float = 1e-3,
        epochs: int = 20,
        batch_size: int = 128,
        seed: int = 0,
    ) -> None:
        """Keeps the settings as they come, as scikit-learn wants it."""
        self.hidden = hidden
        self.dropout = dropout
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Trains the network on features (n, features) and labels (n,)."""
        import keras

        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, targets = np.unique(y, return_inverse=True)
        keras.utils.set_random_seed(self.seed)
        self.model_, trained = self._network(X)
        trained.compile(
            optimizer=keras.optimizers.get(
                {
                    "class_name": self.optimizer,
                    "config": {"learning_rate": self.learning_rate},
                }
            ),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        with progress(self.epochs, "dense head", unit="epochs") as advance:
            done = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: advance(1))
            trained.fit(
                X,
                targets,
                batch_size=self.batch_size,
                epochs=self.epochs,
                callbacks=[done],
                verbose=0,
            )
        return self

    def _network(self, X: np.ndarray) -> tuple[keras.Model, keras.Model]:
        """The network that ends in probabilities, and the same that ends in logits, to train."""
        import keras

        statistics = StandardScaler().fit(X)
        inputs = keras.Input((X.shape[1],), name="features")
        outputs = keras.layers.Normalization(
            mean=statistics.mean_, variance=statistics.scale_**2, name="standardise"
        )(inputs)
        for width in self.hidden:
            outputs = keras.layers.Dense(width, activation="relu")(outputs)
            if self.dropout:
                outputs = keras.layers.Dropout(self.dropout)(outputs)
        logits = keras.layers.Dense(len(self.classes_), name="logits")(outputs)
        probabilities = keras.layers.Softmax(name="probabilities")(logits)
        return keras.Model(inputs, probabilities), keras.Model(inputs, logits)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """The probability of each of `classes_`, float32 (n, classes)."""
        check_is_fitted(self, "model_")
        X = validate_data(self, X, dtype=np.float32, reset=False)
        probabilities: np.ndarray = self.model_.predict(X, batch_size=PREDICT_ROWS, verbose=0)
        return probabilities

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable label of each row, (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: np.ndarray = self.classes_[best]
        return labels

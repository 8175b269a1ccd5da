"""A dense network, as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from classifiers.network import schedule as schedules
from classifiers.network import stack as stacks
from classifiers.network.epochs import Steps, cross_entropy, evaluated, steps_of
from classifiers.network.rows import Rows, blocks, is_lazy, shuffled, whole_rows
from classifiers.solvers.moments import moments
from classifiers.solvers.rows import Rows as Sums
from classifiers.split import stratified
from features.errors import UserError
from features.progress import progress

if TYPE_CHECKING:
    import keras

CACHED_ROWS = 128
Statistics = tuple[np.ndarray, np.ndarray]
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
MONITORS = ("accuracy", "loss")
HELD_SHARE = 0.1
"""What is held out of the rows to watch, where no validation rows are given."""


def make(*, seed: int, **settings: Any) -> DenseClassifier:
    """The dense head with these settings; the seed decides its start, order and dropout.

    Raises:
        UserError: A setting is impossible.
    """
    # Here and not first in `fit`, whose seconds are measured.
    import keras  # noqa: F401

    head = DenseClassifier(**settings, seed=seed)
    head.check_settings()
    return head


class DenseClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Dense layers, then softmax, trained by Keras.

    The features are standardised by a layer of the network, with training statistics, so that the
    network alone turns features into probabilities; unless they are to be taken as they are. Two
    fits with one seed on one machine are equal.

    Args:
        hidden: Widths of hidden layers with ReLU, each followed by `dropout`.
        dropout: The share of a hidden layer's outputs that a step leaves out.
        stack: The hidden layers one by one, as `classifiers.network.stack.check` takes them, in
            place of `hidden` and `dropout`.
        optimizer: One of `OPTIMIZERS`, with Keras' defaults beside the rate.
        learning_rate: The highest.
        schedule: How the rate goes, as `classifiers.network.schedule.parsed` takes it. Plateau
            watches the loss on validation rows, or on the training rows where there are none.
        label_smoothing: The share of each target that is spread evenly over all classes.
        epochs: How often the network sees every row, at most.
        batch_size: Rows a step.
        monitor: "accuracy" or "loss": the epoch that is best in it on validation rows is the one
            that is kept. None: the last one is.
        patience: With `monitor`: ends the training when so many epochs in a row were no better.
        standardise: Whether features are brought to zero mean and unit variance first.
        seed: Of whatever is drawn.

    Attributes:
        classes_: The labels seen in training, sorted, as in the network's outputs.
        model_: The network: float32 (n, features) to probabilities (n, classes).
        history_: Of each epoch "loss" (penalties and smoothing in it), "accuracy" (both as the
            epoch went, with dropout), "learning_rate" (of its last step) and, where there were
            validation rows, "val_loss" (log loss alone) and "val_accuracy".
        epochs_: After how many epochs the network is as it is kept: what `until` of a fit on more
            rows is to be.
        status_: "finished", "stopped early", or "diverged": the loss or a weight became infinite
            or NaN, and the network is as it was kept last before.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (256,),
        dropout: float = 0.5,
        stack: Sequence[Any] | None = None,
        optimizer: str = "adam",
        learning_rate: float = 1e-3,
        schedule: str | Mapping[str, Any] = "constant",
        label_smoothing: float = 0.0,
        epochs: int = 20,
        batch_size: int = 128,
        monitor: str | None = None,
        patience: int | None = None,
        standardise: bool = True,
        seed: int = 0,
    ) -> None:
        """Keeps the settings as they come, as scikit-learn wants it."""
        self.hidden = hidden
        self.dropout = dropout
        self.stack = stack
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.label_smoothing = label_smoothing
        self.epochs = epochs
        self.batch_size = batch_size
        self.monitor = monitor
        self.patience = patience
        self.standardise = standardise
        self.seed = seed

    def check_settings(self) -> None:
        """Refuses settings that make no head.

        Raises:
            UserError: It names the setting and what is allowed.
        """
        self._layers()
        schedules.parsed(self.schedule)
        if self.optimizer not in OPTIMIZERS:
            raise UserError(
                f"optimizer: no optimizer {self.optimizer!r}; allowed: {', '.join(OPTIMIZERS)}"
            )
        if self.monitor not in (None, *MONITORS):
            raise UserError(f"monitor: {self.monitor!r}; allowed: null, {', '.join(MONITORS)}")
        if self.patience is not None and self.monitor is None:
            raise UserError("patience: nothing is watched; set `monitor` to accuracy or loss")
        for name, least, below in (
            ("epochs", 1, np.inf),
            ("batch_size", 1, np.inf),
            ("patience", 1, np.inf),
            ("learning_rate", 0, np.inf),
            ("label_smoothing", 0, 1),
        ):
            value = getattr(self, name)
            if value is not None and not least <= value < below:
                raise UserError(f"{name}: {value} is out of its range")

    def fit(
        self,
        X: Rows,
        y: np.ndarray,
        validation: tuple[Rows, np.ndarray] | None = None,
        until: int | None = None,
    ) -> Self:
        """Trains the network.

        Args:
            X: float (n, features): an array, or a dask array, which is read block by block, once
                for the statistics and once an epoch.
            y: Labels (n,).
            validation: Rows and labels to watch, never to train on. Where `monitor` wants some and
                there are none, a tenth of each class of an array is held out.
            until: Ends after so many of the `epochs`, whatever `monitor` says: what a search found
                (`epochs_`), for a fit on all the rows, where none are left to watch.

        Raises:
            UserError: A setting is impossible.
            ValueError: The rows or labels are of no use.
        """
        import keras

        self.check_settings()
        X, y = self._checked(X, y)
        if self.monitor and validation is None and until is None:
            X, y, validation = self._held_out(X, y)
        self.classes_, targets = np.unique(y, return_inverse=True)
        keras.utils.set_random_seed(self.seed)
        statistics = self._statistics(X, targets)
        self.model_, judged, trained = self._networks(statistics)
        watched = None
        if validation is not None:
            rows, wanted = self._rows(validation[0]), self._targets(validation[1])
            watched = partial(evaluated, judged, targets=wanted, portions=partial(blocks, rows))
        self._train(trained, statistics, X, targets.astype(np.int32), watched, until)
        return self

    def _checked(self, X: Rows, y: np.ndarray) -> tuple[Rows, np.ndarray]:
        """Rows and labels as they are trained on."""
        if not is_lazy(X):
            X, y = validate_data(self, X, y, dtype=np.float32)
        else:
            X, y = whole_rows(X), np.asarray(y)
            if len(X) != len(y):
                raise ValueError(f"X has {len(X)} rows, and y {len(y)} labels")
            self.n_features_in_ = X.shape[1]
        check_classification_targets(y)
        return X, y

    def _rows(self, X: Rows) -> Rows:
        """Further rows, of as many features as those that were trained on."""
        if not is_lazy(X):
            return validate_data(self, X, dtype=np.float32, reset=False)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"X has {X.shape[1]} features, and the head {self.n_features_in_}")
        return whole_rows(X)

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """The places of labels in `classes_`, int32; -1 where it has none."""
        places = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        return np.where(self.classes_[places] == y, places, -1).astype(np.int32)

    def _held_out(
        self, X: Rows, y: np.ndarray
    ) -> tuple[Rows, np.ndarray, tuple[Rows, np.ndarray] | None]:
        """A tenth of each class apart, where the classes have two rows at least."""
        labels, places = np.unique(y, return_inverse=True)
        if is_lazy(X) or np.bincount(places).min() < 2:
            warnings.warn(
                "no validation rows to watch: all epochs are trained, and the last is kept",
                ConvergenceWarning,
                stacklevel=3,
            )
            return X, y, None
        first, held = stratified(places, HELD_SHARE, self.seed, [str(label) for label in labels])
        return X[first], y[first], (X[held], y[held])

    def _layers(self) -> Sequence[Any]:
        if self.stack is None:
            return stacks.short_form(self.hidden, self.dropout)
        stacks.check(self.stack)
        return self.stack

    def _statistics(self, X: Rows, codes: np.ndarray) -> Statistics:
        """What is subtracted of each feature, and by what it is divided then."""
        known = moments(Sums(X, codes), len(self.classes_))
        if not self.standardise:
            # The layer stays, and changes nothing.
            return np.zeros_like(known.mean), np.ones_like(known.mean)
        varies = known.inverse_scale > 0
        return known.mean, 1 / np.where(varies, known.inverse_scale, 1)

    def _networks(self, statistics: Statistics) -> tuple[keras.Model, keras.Model, keras.Model]:
        """The network from features to probabilities, to logits, and from standardised to logits.

        The last is the one to train: rows are standardised once, not again in every epoch.
        """
        import keras

        mean, scale = statistics
        inputs = keras.Input(mean.shape, name="features")
        standardised = keras.layers.Normalization(mean=mean, variance=scale**2, name="standardise")(
            inputs
        )
        outputs = stacks.apply(self._layers(), standardised)
        logits = keras.layers.Dense(len(self.classes_), name="logits")(outputs)
        probabilities = keras.layers.Softmax(name="probabilities")(logits)
        return (
            keras.Model(inputs, probabilities),
            keras.Model(inputs, logits),
            keras.Model(standardised, logits),
        )

    def _train(
        self,
        network: keras.Model,
        statistics: Statistics,
        X: Rows,
        targets: np.ndarray,
        watched: Callable[[], tuple[float, float]] | None,
        until: int | None,
    ) -> None:
        """Trains epoch by epoch, and leaves the network as it is to be kept."""
        import keras

        optimizer = keras.optimizers.get(
            {"class_name": self.optimizer, "config": {"learning_rate": self.learning_rate}}
        )
        loss = cross_entropy(len(self.classes_), self.label_smoothing)
        run = steps_of(network, optimizer, loss, self.batch_size)
        steps = -(-len(targets) // self.batch_size)
        # Rows in memory are standardised once, and kept where the network runs.
        prepare = partial(_standardised, statistics=statistics) if is_lazy(X) else None
        rows = X if is_lazy(X) else _standardised(X, statistics)
        rates = schedules.rates(self.schedule, self.learning_rate, self.epochs, steps)
        generator = np.random.default_rng(self.seed)
        epochs = min(until or self.epochs, self.epochs)
        self.history_: dict[str, list[float]] = {}
        self.epochs_, self.status_ = 0, "finished"
        kept = network.get_weights()
        with progress(epochs, "dense head", unit="epochs") as advance:
            for epoch in range(epochs):
                fall = schedules.reduced(self.schedule, self._falling())
                figures = self._epoch(run, prepare, rows, targets, rates[epoch] * fall, generator)
                if watched:
                    cost, accuracy = watched()
                    figures |= {"val_loss": cost, "val_accuracy": accuracy}
                for name, value in figures.items():
                    self.history_.setdefault(name, []).append(value)
                advance(1)
                weights = network.get_weights()
                if not all(np.isfinite(part).all() for part in (figures["loss"], *weights)):
                    self.status_ = "diverged"
                    break
                if until or not (watched and self.monitor) or self._is_best():
                    self.epochs_, kept = epoch + 1, weights
                elif self.patience and epoch + 1 - self.epochs_ >= self.patience:
                    self.status_ = "stopped early"
                    break
        network.set_weights(kept)
        if self.status_ == "diverged":
            warnings.warn(
                f"diverged in epoch {len(self.history_['loss'])} of {self.epochs}: its loss or "
                f"weights are no finite numbers; kept is the network after {self.epochs_} epochs. "
                "Lower learning_rate",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _epoch(
        self,
        run: Steps,
        prepare: Callable[[np.ndarray], Any] | None,
        X: Rows,
        targets: np.ndarray,
        rates: np.ndarray,
        generator: np.random.Generator,
    ) -> dict[str, float]:
        """One epoch; gives what the history keeps of it."""
        total, right, step = 0.0, 0, 0
        for values, wanted, order in shuffled(X, targets, self.batch_size, generator):
            steps = -(-len(order) // self.batch_size)
            values = prepare(values) if prepare else values
            cost, hits = run(values, wanted, order, rates[step : step + steps])
            total, right, step = total + cost, right + hits, step + steps
            del values
        rows = len(targets)
        return {"loss": total / rows, "accuracy": right / rows, "learning_rate": float(rates[-1])}

    def _falling(self) -> list[float]:
        """The losses so far that plateau watches."""
        return self.history_.get("val_loss") or self.history_.get("loss", [])

    def _is_best(self) -> bool:
        """Whether the last epoch is better on validation than every one before it."""
        sign = 1 if self.monitor == "accuracy" else -1
        *before, last = (sign * value for value in self.history_[f"val_{self.monitor}"])
        return not before or last > max(before)

    def predict_proba(self, X: Rows) -> np.ndarray:
        """The probability of each of `classes_`, float32 (n, classes)."""
        check_is_fitted(self, "model_")
        import keras

        return np.concatenate(
            [
                keras.ops.convert_to_numpy(self.model_(part, training=False))
                for part in blocks(self._rows(X))
            ]
        )

    def predict(self, X: Rows) -> np.ndarray:
        """The most probable label of each row, (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: np.ndarray = self.classes_[best]
        return labels


def _standardised(values: np.ndarray, statistics: Statistics) -> Any:
    """What the network's first layer makes of rows, as a tensor."""
    import keras

    mean, scale = (part.astype(np.float32) for part in statistics)
    rows = np.empty_like(values)
    # Some at a time, which stay in cache between the two.
    for start in range(0, len(values), CACHED_ROWS):
        some = slice(start, start + CACHED_ROWS)
        np.subtract(values[some], mean, out=rows[some])
        rows[some] /= scale
    return keras.ops.convert_to_tensor(rows)

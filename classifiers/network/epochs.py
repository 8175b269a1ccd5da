"""The steps of an epoch: inside TensorFlow's graph, or by Keras' own `fit` on other backends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

Loss = Callable[[Any, Any], Any]
Steps = Callable[[Any, np.ndarray, np.ndarray, np.ndarray], tuple[float, int]]


def cross_entropy(classes: int, smoothing: float) -> Loss:
    """The loss of each row, of targets (n,) and logits (n, classes).

    With smoothing every class is given `smoothing / classes` of the target (Szegedy et al. 2016,
    Rethinking the Inception Architecture, section 7).
    """
    import keras

    if not smoothing:
        return lambda targets, logits: keras.losses.sparse_categorical_crossentropy(
            targets, logits, from_logits=True
        )

    def smoothed(targets: Any, logits: Any) -> Any:
        wanted = keras.ops.one_hot(keras.ops.reshape(targets, (-1,)), classes)
        return keras.losses.categorical_crossentropy(
            wanted, logits, from_logits=True, label_smoothing=smoothing
        )

    return smoothed


def steps_of(network: keras.Model, optimizer: keras.Optimizer, loss: Loss, batch: int) -> Steps:
    """What trains a network on rows: in TensorFlow's graph where Keras runs on it, else by `fit`.

    Returns:
        A function of rows, float32 (rows, features), best as a tensor of Keras' backend, their
        targets, int32 (rows,), the order in which to take them, int32 (n,), and the rate of each
        step, float32 (steps,). It takes one step of the optimizer for each `batch` of the order,
        and gives the sum over the rows of the loss as it was before the step, penalties with it,
        and how many rows were right.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        return steps_in_graph(network, optimizer, loss, batch)
    return steps_by_fit(network, optimizer, loss, batch)


def steps_in_graph(
    network: keras.Model, optimizer: keras.Optimizer, loss: Loss, batch: int
) -> Steps:
    """All steps as one loop of a TensorFlow graph, which gathers each batch from the rows itself.

    Against `fit` it saves Python's part of every step, and the better half of Adam's.
    """
    import tensorflow as tf

    variables = network.trainable_variables
    update = _update(optimizer, variables)

    def step(values: Any, targets: Any, rate: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            logits = network(values, training=True)
            cost = tf.reduce_mean(loss(targets, logits))
            cost = tf.add_n([cost, *network.losses])
        update(tape.gradient(cost, variables), rate)
        right = tf.argmax(logits, axis=1, output_type=tf.int32) == targets
        return cost, tf.reduce_sum(tf.cast(right, tf.int32))

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec((None, network.input_shape[1]), tf.float32),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,), tf.float32),
        ]
    )
    def steps(values: Any, targets: Any, order: Any, rates: Any) -> tuple[Any, Any]:
        total, right = tf.constant(0.0), tf.constant(0)
        for number in tf.range(tf.shape(rates)[0]):
            rows = order[number * batch : (number + 1) * batch]
            cost, hits = step(tf.gather(values, rows), tf.gather(targets, rows), rates[number])
            total += cost * tf.cast(tf.shape(rows)[0], tf.float32)
            right += hits
        return total, right

    def run(
        values: Any, targets: np.ndarray, order: np.ndarray, rates: np.ndarray
    ) -> tuple[float, int]:
        total, right = steps(values, targets, order, rates)
        return float(total), int(right)

    return run


def _update(
    optimizer: keras.Optimizer, variables: list[Any]
) -> Callable[[Sequence[Any], Any], None]:
    """What changes the variables by their gradients at a rate, in TensorFlow's graph.

    Keras' Adam and AdamW run over each variable some ten times; TensorFlow's own operation gives
    the same in one go.
    """
    import keras
    import tensorflow as tf

    if not isinstance(optimizer, keras.optimizers.Adam):
        optimizer.build(variables)

        def by_keras(gradients: Sequence[Any], rate: Any) -> None:
            optimizer.learning_rate = rate
            optimizer.apply(gradients, variables)

        return by_keras

    step = tf.Variable(0.0)
    moments = [tuple(tf.Variable(tf.zeros(one.shape)) for _ in "mv") for one in variables]

    def fused(gradients: Sequence[Any], rate: Any) -> None:
        step.assign_add(1.0)
        powers = [tf.pow(beta, step) for beta in (optimizer.beta_1, optimizer.beta_2)]
        for variable, (first, second), gradient in zip(variables, moments, gradients, strict=True):
            if optimizer.weight_decay:
                variable.value.assign_sub(variable.value * (rate * optimizer.weight_decay))
            tf.raw_ops.ResourceApplyAdam(
                var=variable.value.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=optimizer.beta_1,
                beta2=optimizer.beta_2,
                epsilon=optimizer.epsilon,
                grad=gradient,
            )

    return fused


def steps_by_fit(network: keras.Model, optimizer: keras.Optimizer, loss: Loss, batch: int) -> Steps:
    """The same by Keras' `fit`, on any backend."""
    import keras

    network.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])

    def run(
        values: Any, targets: np.ndarray, order: np.ndarray, rates: np.ndarray
    ) -> tuple[float, int]:
        def set_rate(number: int, logs: Any) -> None:
            optimizer.learning_rate = rates[number]

        done = network.fit(
            np.asarray(values)[order],
            targets[order],
            batch_size=batch,
            shuffle=False,
            callbacks=[keras.callbacks.LambdaCallback(on_train_batch_begin=set_rate)],
            verbose=0,
        ).history
        return done["loss"][0] * len(order), round(done["accuracy"][0] * len(order))

    return run


def evaluated(
    network: keras.Model, portions: Callable[[], Iterable[np.ndarray]], targets: np.ndarray
) -> tuple[float, float]:
    """A network's mean log loss and its accuracy.

    Args:
        network: Ends in logits.
        portions: Gives the rows in their order, some at a time.
        targets: int32 (n,); -1 for a class that the network does not know, which is never right
            and counts in the accuracy alone.
    """
    import keras

    costs, right, place = [], 0, 0
    for values in portions():
        logits = keras.ops.convert_to_numpy(network(values, training=False))
        wanted = targets[place : place + len(values)]
        place += len(values)
        right += int((logits.argmax(axis=1) == wanted).sum())
        logits, wanted = logits[wanted >= 0], wanted[wanted >= 0]
        costs.append(log_losses(logits, wanted))
    cost = np.concatenate(costs)
    return float(cost.mean()) if len(cost) else float("nan"), right / len(targets)


def log_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The log loss of each row, in the logits' dtype.

    Args:
        logits: (n, classes).
        labels: int (n,).
    """
    below = logits - logits.max(axis=1, keepdims=True)
    losses: np.ndarray = np.log(np.exp(below).sum(axis=1)) - below[np.arange(len(labels)), labels]
    return losses

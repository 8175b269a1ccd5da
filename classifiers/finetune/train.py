"""Epochs of training: the best is kept, and one that was killed goes on where it was."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from classifiers.finetune.rows import ahead
from classifiers.network import schedule as schedules
from classifiers.network.epochs import log_losses
from features.errors import UserError
from features.files import disk_errors, whole_file
from features.progress import progress

if TYPE_CHECKING:
    import keras

LOG = logging.getLogger("headstart")

STATE, BEST = "state.npz", "best.npz"
"""In a run's folder while it trains: how far it is, and the best so far."""

Batch = tuple[Sequence[np.ndarray], np.ndarray]
"""A network's inputs, and targets, float32 (batch, classes)."""


@dataclass
class History:
    """What is known of the epochs so far.

    Attributes:
        epochs: Of each epoch `loss`, `accuracy` (as it went), `val_loss`, `val_accuracy`,
            `learning_rate` (of its last step) and `seconds`.
        best: The epoch that is kept, from 1; 0 for the network as it began.
        best_value: Of what is monitored.
        start: `val_loss` and `val_accuracy` of the network as it began.
        status: "finished", "stopped early" or "diverged".
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = 0
    best_value: float | None = None
    start: dict[str, float] = field(default_factory=dict)
    status: str = "finished"


def train(
    network: keras.Model,
    changing: Sequence[Any],
    batches: Callable[[int], Iterator[Batch]],
    held: Callable[[], np.ndarray],
    held_labels: np.ndarray,
    settings: Mapping[str, Any],
    images: int,
    directory: Path,
    key: str,
    *,
    begun: bool,
) -> tuple[History, np.ndarray]:
    """Trains a network epoch by epoch, and leaves it as it is to be kept.

    Args:
        network: From its inputs to logits.
        changing: Its variables that training can change, its layers' random states among them.
        batches: Gives an epoch's batches, by its number from 0; equal numbers give equal batches.
        held: Gives the logits of the validation images, float32 (images, classes).
        held_labels: int64 (images,).
        settings: As `classifiers.finetune.settings.DEFAULTS`.
        images: To train on.
        directory: The run's folder, in which the state after each epoch is kept.
        key: What the state must be of, to go on from it.
        begun: Whether the network is of use as it is: a head stands on it that is trained already.

    Returns:
        What happened, and the logits of the validation images by the network that is kept.

    Raises:
        UserError: Nothing of use came of it, the memory does not take a step, or the disk is full.
    """
    import keras

    optimizer = keras.optimizers.get(
        {"class_name": settings["optimizer"], "config": {"learning_rate": 1.0}}
    )
    optimizer.build(network.trainable_variables)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=settings["label_smoothing"]
    )
    network.compile(optimizer, loss, metrics=["categorical_accuracy"], jit_compile=_by_xla())
    state = _State(directory, key, changing, optimizer.variables)
    steps = -(-images // settings["batch_size"])
    rates = schedules.rates(
        settings["schedule"], settings["learning_rate"], settings["epochs"], steps
    )
    history = state.read()
    if history is None:
        history = History()
        if begun:
            logits = held()
            history.start = _judged(logits, held_labels)
            history.best_value = _watched(history.start, settings["monitor"])
            state.keep_best(logits, history)
            LOG.info(f"before the first epoch: {history.start['val_accuracy']:.4f} on validation")
    else:
        LOG.info(f"going on after epoch {len(history.epochs)} of {settings['epochs']}")
    curves = _curves(directory / "tensorboard")
    left = settings["epochs"] - len(history.epochs)
    with progress(left * images, "fine-tuning") as advance:
        while not _over(history, settings):
            number = len(history.epochs)
            fall = schedules.reduced(
                settings["schedule"], [epoch["val_loss"] for epoch in history.epochs]
            )
            figures = _epoch(network, optimizer, batches(number), rates[number] * fall, advance)
            weights = map(_numbers, changing)
            if not (np.isfinite(figures["loss"]) and all(np.isfinite(w).all() for w in weights)):
                history.status = "diverged"
                break
            logits = held()
            figures |= _judged(logits, held_labels)
            history.epochs.append(figures)
            LOG.info(_said(history, settings["epochs"]))
            curves(number + 1, figures)
            value = _watched(figures, settings["monitor"])
            if settings["monitor"] is None or (
                value is not None and (history.best_value is None or value > history.best_value)
            ):
                history.best, history.best_value = number + 1, value
                state.keep_best(logits, history)
            state.keep(history)
    if history.best == 0 and not begun:
        raise UserError(
            "the loss became infinite or NaN in the first epoch, so that there is nothing to keep. "
            "Try a lower `learning_rate`, a `schedule` with a warmup, or `precision: exact`"
        )
    return history, state.restore_best()


def as_inputs(arrays: Sequence[np.ndarray]) -> Any:
    """Arrays as a model takes them, which wants a single one bare."""
    return arrays[0] if len(arrays) == 1 else list(arrays)


def remove_state(directory: Path) -> None:
    """Removes what only an unfinished training needs."""
    for name in (STATE, BEST):
        (directory / name).unlink(missing_ok=True)


def _over(history: History, settings: Mapping[str, Any]) -> bool:
    done = len(history.epochs)
    if done >= settings["epochs"]:
        return True
    if settings["patience"] and done - history.best >= settings["patience"]:
        history.status = "stopped early"
        return True
    return False


def _epoch(
    network: keras.Model,
    optimizer: keras.Optimizer,
    batches: Iterator[Batch],
    rates: np.ndarray,
    advance: Callable[[int], None],
) -> dict[str, float]:
    start = time.perf_counter()
    total, right, seen = 0.0, 0.0, 0
    prepared = ahead(batches)
    for number, (inputs, targets) in enumerate(prepared):
        optimizer.learning_rate.assign(rates[number])
        try:
            said = network.train_on_batch(as_inputs(inputs), targets, return_dict=True)
        except Exception as error:
            if not _out_of_memory(error):
                raise
            raise UserError(
                f"out of memory in a step of {len(targets)} images; take a smaller `batch_size`, "
                "fewer layers to train (`unfreeze`), or a smaller `size`"
            ) from error
        count = len(targets)
        total, right, seen = (
            total + said["loss"] * count,
            right + said["categorical_accuracy"] * count,
            seen + count,
        )
        advance(count)
        if not np.isfinite(total):
            # What follows could only be lost.
            prepared.close()
            break
    return {
        "loss": total / seen,
        "accuracy": right / seen,
        "learning_rate": float(rates[-1]),
        "seconds": time.perf_counter() - start,
    }


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(
        sign in f"{type(error).__name__} {error}"
        for sign in ("ResourceExhausted", "RESOURCE_EXHAUSTED", "out of memory", "OOM")
    )


def _by_xla() -> bool:
    """Whether XLA compiles the step: on a GPU, for on a CPU it is slower."""
    import keras

    from features.engines.gpu import gpus

    return keras.backend.backend() == "jax" or bool(gpus())


def _numbers(variable: Any) -> np.ndarray:
    import keras

    found: np.ndarray = keras.ops.convert_to_numpy(variable)
    return found


def _judged(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Log loss and accuracy."""
    loss = log_losses(logits.astype(np.float64), labels)
    right = logits.argmax(axis=1) == labels
    return {"val_loss": float(loss.mean()), "val_accuracy": float(right.mean())}


def _watched(figures: Mapping[str, float], monitor: str | None) -> float | None:
    """What is to be as high as can be."""
    if monitor is None:
        return None
    return figures["val_accuracy"] if monitor == "accuracy" else -figures["val_loss"]


def _said(history: History, epochs: int) -> str:
    last = history.epochs[-1]
    return (
        f"epoch {len(history.epochs)} of {epochs}: loss {last['loss']:.4f}, accuracy "
        f"{last['accuracy']:.4f}, on validation {last['val_loss']:.4f} and "
        f"{last['val_accuracy']:.4f}, {last['seconds']:.1f} s"
    )


def _curves(folder: Path) -> Callable[[int, Mapping[str, float]], None]:
    """What writes an epoch's figures for TensorBoard; nothing where it is not installed."""
    try:
        from tensorboard.summary import Writer
    except ImportError:
        return lambda epoch, figures: None
    writer = Writer(str(folder))

    def write(epoch: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()

    return write


class _State:
    """The files of an unfinished training."""

    def __init__(
        self, directory: Path, key: str, changing: Sequence[Any], optimizer: Sequence[Any]
    ) -> None:
        self._state, self._best = directory / STATE, directory / BEST
        self._key, self._changing, self._optimizer = key, changing, optimizer

    def keep(self, history: History) -> None:
        """Keeps how far it is; whole or not at all."""
        self._write(self._state, history, {"optimizer": self._optimizer})

    def keep_best(self, logits: np.ndarray, history: History) -> None:
        """Keeps the network as it is, with what it says of the validation images."""
        self._write(self._best, history, {}, logits=logits)

    def _write(
        self,
        path: Path,
        history: History,
        further: Mapping[str, Sequence[Any]],
        **arrays: np.ndarray,
    ) -> None:
        for kind, variables in {"weight": self._changing, **further}.items():
            arrays |= {f"{kind}_{i}": _numbers(one) for i, one in enumerate(variables)}
        fields = json.dumps({"key": self._key, **vars(history)})
        with disk_errors(path), whole_file(path) as part, part.open("wb") as file:
            np.savez(file, fields=np.array(fields), **arrays)  # type: ignore[arg-type]

    def read(self) -> History | None:
        """Takes up what an earlier try left, if it was of the same."""
        try:
            with np.load(self._state, allow_pickle=False) as kept:
                fields = json.loads(str(kept["fields"]))
                if fields.pop("key") != self._key:
                    return None
                if fields["best_value"] is not None and not self._best.is_file():
                    return None
                self._assign(kept, {"weight": self._changing, "optimizer": self._optimizer})
        except (OSError, ValueError, KeyError, BadZipFile):
            return None
        return History(**fields)

    def restore_best(self) -> np.ndarray:
        """Puts back the network that is kept; gives its logits of the validation images."""
        with np.load(self._best, allow_pickle=False) as kept:
            self._assign(kept, {"weight": self._changing})
            logits: np.ndarray = kept["logits"]
        return logits

    def _assign(self, kept: Mapping[str, np.ndarray], kinds: Mapping[str, Sequence[Any]]) -> None:
        for kind, variables in kinds.items():
            for i, variable in enumerate(variables):
                variable.assign(kept[f"{kind}_{i}"])

"""Random search and Hyperband for the dense head, by Keras Tuner.

Keras Tuner chooses what to try; the head tries it. What came of each candidate is written to the
search's folder at once, one file each. A search that was killed runs again from its start: the
same seed has Keras Tuner choose the same, and what is found in the folder is not fitted again. So
it ends as if it had never been killed, and nothing hangs on Keras Tuner's own state on disk.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import operator
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.network.rows import Rows, is_lazy
from classifiers.store import read_json, write_json
from features.errors import UserError
from features.files import fingerprint, whole_file

if TYPE_CHECKING:
    import keras_tuner

LOG = logging.getLogger("headstart")

METHODS: dict[str, dict[str, int]] = {
    "hyperband": {"max_epochs": 10, "factor": 3},
    "random": {"trials": 20},
}
"""Each method's options with their defaults."""

SHAPE = ("depth", "units", "penalty", "penalty_rate", "dropout")
"""What of a space makes the hidden layers; its other names are settings of the head."""

PUBLISHED: dict[str, Any] = {
    "depth": {"from": 1, "to": 5},
    "units": {"from": 32, "to": 512, "step": 32},
    "penalty": ["none", "l1", "l2"],
    "penalty_rate": [0.001, 0.01, 0.1],
    "dropout": {"from": 0.0, "to": 0.5, "step": 0.1},
    "learning_rate": {"from": 1e-5, "to": 1e-2, "log": True},
}
"""The space of a published search of a head on InceptionResNetV2's features of CIFAR-10."""


@dataclass(frozen=True)
class Tried:
    """A candidate of a search.

    Attributes:
        settings: All settings of the dense head.
        accuracy: On the validation rows, of the epoch that was kept.
        seconds: What fitting and judging it took, whenever that was.
        status: How the fit ended, as `DenseClassifier.status_` says it.
        epochs: After how many epochs it was best: `until` of the fit on all rows.
        warnings: What the fit said.
    """

    settings: dict[str, Any]
    accuracy: float
    seconds: float
    status: str
    epochs: int
    warnings: list[str]


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        tried: Every candidate, in the order in which they were tried.
        best: The most accurate of them, the first where several are equal.
        whole: Whether the search came to its end before its time limit.
    """

    tried: list[Tried]
    best: Tried
    whole: bool


def search(
    X: Rows,
    y: np.ndarray,
    Xv: Rows,
    yv: np.ndarray,
    *,
    space: Mapping[str, Any],
    how: str | Mapping[str, Any],
    settings: Mapping[str, Any],
    folder: Path,
    seed: int,
    limit_s: float | None = None,
) -> Found:
    """Searches a space of dense heads for the most accurate on the validation rows.

    Every candidate is fitted from new weights, also those that Hyperband (Li et al. 2018, section
    3) takes on to more epochs, so that its accuracy is that of its settings, and needs no weights
    on disk. With the published 10 epochs and factor 3 these are 144 epochs instead of 120.

    Args:
        X: float (n, features) to train on, an array or a dask array.
        y: Labels (n,).
        Xv: The same to judge by.
        yv: Its labels.
        space: What to draw from, by name: those of `SHAPE`, each hidden layer drawing its own
            `units`, and any setting of the head. A list is a choice, `{from, to, step}` or
            `{from, to, log: true}` a range with both ends, anything else the one value. See
            `PUBLISHED`.
        how: A key of `METHODS`, or a mapping of it to options: `{"random": {"trials": 50}}`.
        settings: The head's settings that `space` does not draw.
        folder: Where the candidates are kept, so that a killed search goes on; those of other
            data, spaces or seeds in it are left alone.
        seed: Of what is drawn, and of every candidate.
        limit_s: Starts no candidate after so many seconds of fitting, those before a kill among
            them; the first is always tried. None: no limit.

    Raises:
        UserError: The space, the method or a setting is impossible.
    """
    method, options = _method(how)
    values = _space(space, settings)
    key = {
        "space": values,
        "how": {method: options},
        "settings": dict(settings),
        "seed": seed,
        "data": [_digest(array) for array in (X, y, Xv, yv)],
    }
    place = folder / fingerprint(json.loads(json.dumps(key)))[:8]
    tried: list[Tried] = []

    def attempt(trial: keras_tuner.engine.trial.Trial) -> float:
        if limit_s is not None and tried and sum(one.seconds for one in tried) >= limit_s:
            raise _TimeIsUp
        made = _settings(values, settings, trial.hyperparameters.values)
        file = place / f"{trial.trial_id}.json"
        result = _earlier(file, made)
        if result is None:
            result = _tried(made, X, y, Xv, yv, seed)
            write_json(file, asdict(result))
            LOG.info(f"{_text(result)}: {result.accuracy:.4f}, {result.seconds:.1f} s")
        tried.append(result)
        return result.accuracy

    whole = _run(method, options, _hyperparameters(values), seed, attempt)
    if not whole:
        LOG.warning(
            f"the search was cut short by its limit of {limit_s:g} s after {len(tried)} candidates"
        )
    return Found(tried, max(tried, key=lambda one: one.accuracy), whole)


def write_selection(path: Path, tried: Sequence[Tried]) -> None:
    """Writes one row a candidate, in the order in which they were tried, as `selection.csv`."""
    names = list(tried[0].settings)
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*names, "accuracy", "seconds", "status", "best_epoch", "warnings"])
        for one in tried:
            cells = [_cell(one.settings[name]) for name in names]
            figures = [one.accuracy, round(one.seconds, 4), one.status, one.epochs]
            table.writerow([*cells, *figures, "; ".join(one.warnings)])


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _text(one: Tried) -> str:
    return ", ".join(f"{name}={_cell(value)}" for name, value in one.settings.items())


def _method(how: str | Mapping[str, Any]) -> tuple[str, dict[str, int]]:
    given = {how: {}} if isinstance(how, str) else dict(how)
    name = next(iter(given), "nothing")
    if len(given) != 1 or name not in METHODS:
        raise UserError(f"search: no method {name!r}; allowed: {', '.join(METHODS)}")
    options = dict(given[name] or {})
    for option, value in options.items():
        if option not in METHODS[name]:
            allowed = ", ".join(METHODS[name])
            raise UserError(f"search: {name} takes no option {option!r}; allowed: {allowed}")
        least = 2 if option == "factor" else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(f"search: {option} is {value!r}; give a whole number from {least} on")
    return name, METHODS[name] | options


def _values(name: str, given: Any) -> list[Any] | tuple[float, float, str]:
    """What a name may be: the values one by one, or a range with its sampling."""
    if not isinstance(given, Mapping):
        values = list(given) if isinstance(given, list | tuple) else [given]
        if not values:
            raise UserError(f"search: {name} is an empty list")
        return values
    unknown = set(given) - {"from", "to", "step", "log"}
    if unknown or not {"from", "to"} <= set(given):
        raise UserError(f"search: {name}: {given!r} is no range; give from, to, and step or log")
    low, high, step = given["from"], given["to"], given.get("step")
    if not low < high or (step is not None and step <= 0) or (given.get("log") and low <= 0):
        raise UserError(f"search: {name}: {given!r} is an empty range")
    if step is None and not given.get("log") and isinstance(low, int) and isinstance(high, int):
        step = 1
    if step is None:
        return float(low), float(high), "log" if given.get("log") else "linear"
    count = int((high - low) / step + 1e-9) + 1
    return [
        low + number * step if isinstance(step, int) else round(low + number * step, 12)
        for number in range(count)
    ]


def _space(space: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The values of each name, checked."""
    shape = SHAPE if "units" in space else ("dropout",)
    others = [name for name in settings if name not in (*SHAPE, "hidden", "stack", "monitor")]
    for name in space:
        if name not in (*shape, *others):
            hint = "" if "units" in space else ", and with units " + ", ".join(SHAPE)
            raise UserError(
                f"search: no setting {name!r} to draw; "
                f"allowed: {', '.join((*shape, *others))}{hint}"
            )
    found = {name: _values(name, given) for name, given in space.items()}
    if "units" in space:
        found = {"depth": [1], "penalty": ["none"], **found}
        unknown = [one for one in found["penalty"] if one not in ("none", "l1", "l2")]
        if unknown:
            raise UserError(f"search: no penalty {unknown[0]!r}; allowed: none, l1, l2")
        if found["penalty"] != ["none"] and "penalty_rate" not in found:
            raise UserError("search: a penalty wants its penalty_rate")
        if not isinstance(found["depth"], list) or not all(
            isinstance(depth, int) and depth >= 0 for depth in found["depth"]
        ):
            raise UserError("search: depth: give whole numbers")
    return found


def _hyperparameters(values: Mapping[str, Any]) -> keras_tuner.HyperParameters:
    """The space as Keras Tuner has it: the places in the lists of values, and the ranges.

    The widths are of those layers alone that there are, and the penalty's rate is where there is a
    penalty, so that no two candidates differ in what decides nothing.
    """
    import keras_tuner

    drawn = keras_tuner.HyperParameters()

    def declare(label: str, name: str) -> None:
        given = values[name]
        if isinstance(given, list):
            drawn.Choice(label, list(range(len(given))))
        else:
            low, high, sampling = given
            drawn.Float(label, low, high, sampling=sampling)

    for name in values:
        if name not in ("units", "penalty_rate"):
            declare(name, name)
    if "penalty_rate" in values:
        with drawn.conditional_scope("penalty", _places(values["penalty"], lambda p: p != "none")):
            declare("penalty_rate", "penalty_rate")
    if "units" in values:
        for number in range(max(values["depth"])):
            deeper = _places(values["depth"], partial(operator.lt, number))
            with drawn.conditional_scope("depth", deeper):
                declare(f"units_{number}", "units")
    return drawn


def _places(values: Sequence[Any], wanted: Callable[[Any], bool]) -> list[int]:
    return [place for place, value in enumerate(values) if wanted(value)]


def _settings(
    values: Mapping[str, Any], settings: Mapping[str, Any], drawn: Mapping[str, Any]
) -> dict[str, Any]:
    """The head's settings of what was drawn."""

    def value(label: str, name: str) -> Any:
        given = values[name]
        return given[drawn[label]] if isinstance(given, list) else drawn[label]

    made = dict(settings) | {
        name: value(name, name) for name in values if name not in SHAPE or name == "dropout"
    }
    if "units" in values:
        penalty = value("penalty", "penalty")
        options = {} if penalty == "none" else {penalty: value("penalty_rate", "penalty_rate")}
        made["stack"] = []
        for number in range(value("depth", "depth")):
            made["stack"].append({"dense": value(f"units_{number}", "units"), **options})
            if made["dropout"]:
                made["stack"].append({"dropout": made["dropout"]})
    if "tuner/epochs" in drawn:  # Hyperband's
        made["epochs"] = drawn["tuner/epochs"]
    made["monitor"] = "accuracy"
    return made


def _run(
    method: str,
    options: Mapping[str, int],
    space: keras_tuner.HyperParameters,
    seed: int,
    attempt: Callable[[keras_tuner.engine.trial.Trial], float],
) -> bool:
    """Has Keras Tuner search; gives whether it came to its end before `attempt` called time."""
    import keras_tuner

    class Search(keras_tuner.Tuner):  # type: ignore[misc]
        """Asks `attempt`; an error in it ends the search, which else would go on without."""

        def run_trial(self, trial: keras_tuner.engine.trial.Trial, **_: Any) -> dict[str, float]:
            try:
                return {"val_accuracy": attempt(trial)}
            except Exception as error:
                raise keras_tuner.errors.FatalError(str(error)) from error

    common = {
        "objective": keras_tuner.Objective("val_accuracy", "max"),
        "hyperparameters": space,
        "seed": seed,
    }
    if method == "hyperband":
        oracle = keras_tuner.oracles.HyperbandOracle(**common, **options)
    else:
        oracle = keras_tuner.oracles.RandomSearchOracle(**common, max_trials=options["trials"])
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras Tuner's own, each time
        try:
            Search(oracle, directory=scratch, project_name="search").search(verbose=0)
        except _TimeIsUp:
            return False
        except keras_tuner.errors.FatalError as error:
            raise error.__cause__ or error from None
    return True


class _TimeIsUp(BaseException):
    """No exception, since Keras Tuner goes on after one."""


def _tried(
    settings: dict[str, Any], X: Rows, y: np.ndarray, Xv: Rows, yv: np.ndarray, seed: int
) -> Tried:
    """Fits a candidate and judges it."""
    from classifiers.heads.dense import make

    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        head = make(seed=seed, **settings).fit(X, y, validation=(Xv, yv))
    accuracy = float((head.predict(Xv) == yv).mean())
    return Tried(
        settings,
        accuracy,
        time.perf_counter() - start,
        head.status_,
        head.epochs_,
        list(dict.fromkeys(str(warning.message) for warning in caught)),
    )


def _earlier(file: Path, settings: Mapping[str, Any]) -> Tried | None:
    """What came of these settings before the search was killed, if they were tried."""
    try:
        found = Tried(**read_json(file))
    except (UserError, TypeError):
        return None
    same = found.settings == json.loads(json.dumps(settings))
    return replace(found, settings=dict(settings)) if same else None


def _digest(values: Any) -> str:
    """What tells these rows or labels from others: their bytes, or the name dask gives them."""
    if is_lazy(values):
        return str(values.name)
    array = np.ascontiguousarray(values)
    array = array.astype(str) if array.dtype == object else array
    content = hashlib.sha256(array.reshape(-1).view(np.uint8).data).hexdigest()
    return f"{array.dtype} {array.shape} {content}"

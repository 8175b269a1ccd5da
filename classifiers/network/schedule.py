"""How the learning rate goes over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.errors import UserError

SCHEDULES: dict[str, dict[str, float]] = {
    "constant": {},
    "cosine": {"warmup": 1},
    "exponential": {"rate": 0.95},
    "plateau": {"factor": 0.5, "patience": 3},
}
"""Each schedule's options with their defaults."""

NOT_BETTER = 1e-4
"""A loss that falls by less has not fallen, as in Keras' ReduceLROnPlateau."""


def parsed(schedule: str | Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    """A schedule's name and all of its options.

    Args:
        schedule: A name, or a mapping of a name to options: `{"cosine": {"warmup": 2}}`.

    Raises:
        UserError: The schedule or an option is unknown, or a value impossible.
    """
    given = {schedule: {}} if isinstance(schedule, str) else dict(schedule)
    if len(given) != 1:
        raise UserError(f"schedule: {schedule!r} is not one schedule; allowed: {_names()}")
    ((name, options),) = given.items()
    if name not in SCHEDULES:
        raise UserError(f"schedule: no schedule {name!r}; allowed: {_names()}")
    options = dict(options or {})
    unknown = [option for option in options if option not in SCHEDULES[name]]
    if unknown:
        allowed = ", ".join(SCHEDULES[name]) or "none"
        raise UserError(f"schedule: {name} takes no option {unknown[0]!r}; allowed: {allowed}")
    options = SCHEDULES[name] | options
    for option, value in options.items():
        least, most = {"warmup": (0, np.inf), "patience": (1, np.inf)}.get(option, (0, 1))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"schedule: {name}'s {option} is {value!r}; give a number")
        if not least <= value <= most or (most == 1 and value == 0):
            raise UserError(f"schedule: {name}'s {option} is {value}, out of its range")
    return name, options


def _names() -> str:
    return ", ".join(SCHEDULES)


def rates(
    schedule: str | Mapping[str, Any], learning_rate: float, epochs: int, steps: int
) -> np.ndarray:
    """The learning rate of every step, as far as it is known beforehand.

    - constant, and plateau before it falls: `learning_rate`.
    - cosine: up from 0 in a straight line over `warmup` epochs, then down to 0 as half a cosine
      (Loshchilov and Hutter 2017, SGDR, equation 5, without restarts; the warm-up: Goyal et al.
      2017, section 2.2).
    - exponential: `learning_rate` times `rate` to the power of the epochs behind it.

    Args:
        schedule: As `parsed` takes it.
        learning_rate: The highest.
        epochs: How many epochs the whole training has.
        steps: How many steps an epoch has.

    Returns:
        float32 (epochs, steps).
    """
    name, options = parsed(schedule)
    total = epochs * steps
    step = np.arange(total)
    share = np.ones(total)
    if name == "cosine":
        warm = min(round(options["warmup"] * steps), total - 1)
        share = 0.5 * (1 + np.cos(np.pi * (step - warm) / (total - warm)))
        share[:warm] = (step[:warm] + 1) / max(warm, 1)
    elif name == "exponential":
        share = options["rate"] ** (step / steps)
    return (learning_rate * share).astype(np.float32).reshape(epochs, steps)


def reduced(schedule: str | Mapping[str, Any], losses: Sequence[float]) -> float:
    """What plateau multiplies the rate by, after epochs with these losses; else 1.

    It falls by `factor` each time that `patience` epochs in a row have not brought the loss under
    its least, as Keras' ReduceLROnPlateau does it.
    """
    name, options = parsed(schedule)
    if name != "plateau":
        return 1.0
    least, waited, share = np.inf, 0, 1.0
    for loss in losses:
        if loss < least - NOT_BETTER:
            least, waited = loss, 0
            continue
        waited += 1
        if waited >= options["patience"]:
            share, waited = share * options["factor"], 0
    return share

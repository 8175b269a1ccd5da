"""Learning curves: how accurate a head is with fewer labels, so what more would bring."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.data import Features
from classifiers.heads import make_head
from classifiers.intervals import wilson
from classifiers.pools import places, read_pool
from classifiers.spec import Choice
from classifiers.store import read_json, write_json
from features.errors import UserError
from features.progress import progress

LOG = logging.getLogger("headstart")

SHARES = (0.01, 0.05, 0.1, 0.25, 1.0)
SHOTS = (1, 5, 10)
SEEDS = (0, 1, 2)
HEAD = ("type", "settings", "layers", "view", "root", "pca", "whiten")
"""What of a fit.json says which head is fitted on what."""


def learning_curve(
    features: Path | Sequence[Path],
    directory: Path,
    output: Path,
    *,
    validation: float,
    shares: Sequence[float] = SHARES,
    shots: Sequence[int] = SHOTS,
    seeds: Sequence[int] = SEEDS,
) -> None:
    """Fits a run's head, with the settings that its search chose, on ever more training labels.

    Each budget is drawn class by class, at least one image each; a larger one holds the smaller
    ones of the same seed, so that a curve shows what more labels add. It is judged on validation,
    and the test split stays closed: `evaluate_curve` is the step that opens it.

    Args:
        features: The features file or files that the run was fitted on.
        directory: The run's directory, holding its fit.json.
        output: The JSON file: `run`; `head` (see `HEAD`); `validation` and
            `draw`, the share and the seed by which validation was drawn; `split` and `held`, on
            which images and on how many it was judged; and `rows`, each with `budget` ("5 %" or "10
            a class"), `images`, `seed`, `accuracy` with its Wilson interval `low` to `high`,
            `seconds` and `warnings`. Where the head cannot be fitted on so few, the accuracy is
            null and the reason is among the warnings.
        validation: The share of the training split that the run drew for validation.
        shares: Of each class's training images, between 0 and 1.
        shots: Images a class.
        seeds: Of the draws and of the head. The whole is fitted once, by the first.

    Raises:
        UserError: The run is of other features, or a budget is impossible.
    """
    fitted = read_json(directory / "fit.json")
    wrong = [share for share in shares if not 0 < share <= 1] + [n for n in shots if n < 1]
    if wrong:
        raise UserError(f"budget: {wrong[0]} is neither a share of the labels nor a number a class")
    head = {name: fitted[name] for name in HEAD}
    fields = {
        "run": directory.name,
        "fingerprint": fitted["fingerprint"],
        "head": head,
        "validation": validation,
        "draw": fitted["seed"],
    }
    # Fewest labels first, whatever share of whichever class they are.
    budgets: list[tuple[str, float]] = [(f"{n} a class", n) for n in sorted(shots)]
    budgets += [(f"{100 * share:g} %", float(share)) for share in sorted(shares)]
    plan = [
        (name, size, seed)
        for name, size in budgets
        for seed in (seeds[:1] if size == 1.0 and isinstance(size, float) else seeds)
    ]
    _write_curve(features, fields, plan, "validation", output)


def evaluate_curve(
    features: Path | Sequence[Path], curve: Path, output: Path, *, split: str = "test"
) -> None:
    """Judges a learning curve on the test split: the very same fits again, scored there.

    Args:
        features: The features file or files.
        curve: What `learning_curve` wrote.
        output: A JSON file of the same form.
        split: The split to judge on.

    Raises:
        UserError: The curve is of other features.
    """
    fields = read_json(curve)
    plan = [(row["budget"], row["size"], row["seed"]) for row in fields.pop("rows")]
    _write_curve(features, fields, plan, split, output)


def _write_curve(
    features: Path | Sequence[Path],
    fields: dict[str, Any],
    plan: Sequence[tuple[str, float, int]],
    split: str,
    output: Path,
) -> None:
    head = fields["head"]
    choice = Choice.of(head)
    with Features(features) as opened:
        if opened.fingerprint != fields["fingerprint"]:
            raise UserError(
                f"{fields['run']}: fitted on features {fields['fingerprint'][:8]}, but "
                f"{opened.path} holds {opened.fingerprint[:8]}; run its search again"
            )
        pool = read_pool(opened, choice, validation=fields["validation"], seed=fields["draw"])
        if split == "validation":
            held, truth = pool.values[pool.training :], pool.labels[pool.training :]
        else:
            held, truth = opened.matrix(split, choice), opened.labels(split)
    values, labels = pool.values[: pool.training], pool.labels[: pool.training]
    rows: list[dict[str, Any]] = []
    known: dict[bytes, dict[str, Any]] = {}
    with progress(len(plan), f"learning curve of {fields['run']}", unit="fits") as advance:
        for name, size, seed in plan:
            chosen = drawn(labels, size, seed)
            # Budgets that come to the same images are one fit.
            key = chosen.tobytes() + bytes(str(seed), "ascii")
            if key not in known:
                known[key] = _fit(head, seed, values[chosen], labels[chosen], held, truth)
                LOG.info(f"{name}, seed {seed}: {chosen.sum():,} images, {_said(known[key])}")
            row = {"budget": name, "size": size, "images": int(chosen.sum()), "seed": seed}
            rows.append(row | known[key])
            advance(1)
    write_json(output, {**fields, "split": split, "held": len(truth), "rows": rows})


def drawn(labels: np.ndarray, size: float, seed: int) -> np.ndarray:
    """Which rows a budget holds, bool (images,).

    Args:
        labels: int64 (images,).
        size: A whole number is images a class, as far as there are so many; a float is the share of
            each class, rounded, at least one image.
        seed: Of the draw. With the same seed a larger budget holds all of a smaller one.
    """
    counts = np.bincount(labels)
    kept = (
        np.minimum(counts, size)
        if isinstance(size, int)
        else np.maximum(np.round(counts * size), 1)
    )
    chosen: np.ndarray = places(labels, seed) < kept[labels]
    return chosen


def _fit(
    head: Mapping[str, Any],
    seed: int,
    values: np.ndarray,
    labels: np.ndarray,
    held: np.ndarray,
    truth: np.ndarray,
) -> dict[str, Any]:
    """One fit and what it reaches."""
    settings = dict(head["settings"])
    if "k" in settings:  # neighbours there must be as many as vote
        settings["k"] = min(settings["k"], len(labels))
    start = time.perf_counter()
    accuracy = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for noise in (DeprecationWarning, FutureWarning, ResourceWarning):
            warnings.simplefilter("ignore", noise)
        try:
            fitted = make_head(head["type"], settings, seed, Choice.of(head)).fit(values, labels)
            predicted = fitted.predict(held)
            accuracy = float((predicted == truth).mean())
        except (ValueError, UserError) as error:
            warnings.warn(str(error).strip().partition("\n")[0], stacklevel=1)
    low, high = (None, None) if accuracy is None else wilson(accuracy * len(truth), len(truth))
    return {
        "accuracy": accuracy,
        "low": low,
        "high": high,
        "seconds": time.perf_counter() - start,
        "warnings": list(
            dict.fromkeys(str(warning.message).partition("\n")[0] for warning in caught)
        ),
    }


def _said(row: Mapping[str, Any]) -> str:
    accuracy = row["accuracy"]
    return "no head can be fitted" if accuracy is None else f"accuracy {accuracy:.4f}"

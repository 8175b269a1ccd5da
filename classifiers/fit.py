"""Fitting a head: its settings chosen on validation, then refitted on all that is not test."""

from __future__ import annotations

import csv
import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import features as feature_files
from classifiers.data import matrix
from classifiers.grid import candidates, edge_warnings
from classifiers.heads import make_head
from classifiers.spec import HeadSpec
from classifiers.split import stratified
from classifiers.store import save_head, write_json
from features.cache import FeatureFile
from features.environment import versions
from features.errors import UserError
from features.files import whole_file
from features.progress import progress

LOG = logging.getLogger("headstart")


@dataclass(frozen=True)
class Rows:
    """All rows but the test split's: those to train on first, those to validate on behind them.

    Attributes:
        values: float32 (images, dimensions).
        labels: int64 (images,).
        training: How many of them are to train on.
    """

    values: np.ndarray
    labels: np.ndarray
    training: int


@dataclass(frozen=True)
class Candidate:
    """Settings that were tried, their accuracy on validation, and what fitting them said."""

    settings: dict[str, Any]
    accuracy: float
    seconds: float
    warnings: list[str]


def fit_head(
    features: Path, head: HeadSpec, directory: Path, *, validation: float, seed: int
) -> Path:
    """Fits a head and saves it, without ever reading the test split.

    Every candidate of the head's grids is fitted on the training rows and scored on the validation
    rows; the most accurate, the first of them where several are equal, is fitted again on both.
    Writes `selection.csv` (all candidates), `fit.json` (what was chosen and what it took) and the
    head itself into `directory`.

    Args:
        features: A features file.
        head: What to fit.
        directory: The run's directory.
        validation: The share of the training split to draw for validation, class by class, where
            the data brings no validation split.
        seed: Of that draw and of the head.

    Returns:
        The head's file, `head.skops` or `head.keras`.

    Raises:
        UserError: The head asks for what is not there, or its settings make no head.
    """
    tried = list(candidates(head.settings))
    with feature_files.open(features) as file:
        rows = _rows(file, head, validation, seed)
        fingerprint = file.fingerprint
    # A grid made for thousands of images must not fail on a few dozen.
    tried = [c for c in tried if c.get("k", 0) <= rows.training] or tried
    with _attempt(head.type, tried[0]):
        # Loads the head's library, whose seconds are not the search's.
        make_head(head.type, tried[0], seed)
    start = time.perf_counter()
    results = _search(rows, head.type, tried, seed)
    search_seconds = time.perf_counter() - start
    _write_selection(directory / "selection.csv", results)
    best = max(results, key=lambda result: result.accuracy)

    start = time.perf_counter()
    with _attempt(head.type, best.settings) as said:
        fitted = make_head(head.type, best.settings, seed).fit(rows.values, rows.labels)
    fit_seconds = time.perf_counter() - start
    notes = [*edge_warnings(head.settings, best.settings), *said]
    for note in notes:
        LOG.warning(note)
    path = save_head(fitted, directory)
    write_json(
        directory / "fit.json",
        {
            "head": path.name,
            "type": head.type,
            "settings": best.settings,
            "layers": head.layers,
            "view": head.view,
            "dimensions": rows.values.shape[1],
            "seed": seed,
            "training": {"images": rows.training},
            "validation": {
                "accuracy": best.accuracy,
                "images": len(rows.labels) - rows.training,
            },
            "seconds": {"search": search_seconds, "fit": fit_seconds},
            "warnings": notes,
            "versions": versions(),
            "fingerprint": fingerprint,
        },
    )
    return path


def _rows(file: FeatureFile, head: HeadSpec, share: float, seed: int) -> Rows:
    """Reads the data's own validation split, or draws one from the training split."""
    values = matrix(file, "train", head.layers, head.view)
    labels = file.labels("train")
    if "validation" in file.splits:
        training = len(labels)
        values = np.concatenate([values, matrix(file, "validation", head.layers, head.view)])
        labels = np.concatenate([labels, file.labels("validation")])
    else:
        first, second = stratified(labels, share, seed, file.classes)
        training = len(first)
        order = np.concatenate([first, second])
        values, labels = values[order], labels[order]
    if training == len(labels):
        raise UserError(f"{file.path}: the validation split holds no image")
    if len(np.unique(labels[:training])) < 2:
        raise UserError(
            f"{file.path}: the training images are all of one class; at least two are needed"
        )
    return Rows(values, labels, training)


def _search(
    rows: Rows, type: str, tried: Sequence[Mapping[str, Any]], seed: int
) -> list[Candidate]:
    """Fits every candidate on the training rows and scores it on the validation rows."""
    values, held = rows.values[: rows.training], rows.values[rows.training :]
    labels, truth = rows.labels[: rows.training], rows.labels[rows.training :]
    results = []
    with progress(len(tried), f"search {type}", unit="candidates") as advance:
        for settings in tried:
            start = time.perf_counter()
            with _attempt(type, settings) as said:
                head = make_head(type, settings, seed).fit(values, labels)
                accuracy = float((head.predict(held) == truth).mean())
            seconds = time.perf_counter() - start
            results.append(Candidate(dict(settings), accuracy, seconds, said))
            LOG.info(f"{_text(settings)}: {accuracy:.4f} on validation, {seconds:.1f} s")
            advance(1)
    return results


@contextmanager
def _attempt(type: str, settings: Mapping[str, Any]) -> Iterator[list[str]]:
    """Makes an impossible setting a message to the user, and gathers warnings as lines."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for noise in (DeprecationWarning, FutureWarning, ResourceWarning):
            warnings.simplefilter("ignore", noise)
        try:
            yield said
        except (ValueError, TypeError) as error:
            raise UserError(f"head {type} with {_text(settings)}: {error}") from error
    lines = (str(warning.message).strip().partition("\n")[0] for warning in caught)
    said.extend(dict.fromkeys(f"{_text(settings)}: {line}" for line in lines))


def _text(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _write_selection(path: Path, results: Sequence[Candidate]) -> None:
    """One row a candidate, in the order in which they were tried."""
    names = list(results[0].settings)
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*names, "accuracy", "seconds", "warnings"])
        for result in results:
            settings = [result.settings[name] for name in names]
            seconds = round(result.seconds, 4)
            table.writerow([*settings, result.accuracy, seconds, "; ".join(result.warnings)])

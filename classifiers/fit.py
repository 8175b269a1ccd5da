"""Fitting a head: its settings chosen on validation, then refitted on all that is not test."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import features as feature_files
from classifiers.calibration import write_validation
from classifiers.grid import candidates, edge_warnings
from classifiers.heads import Scored, make_head, score_held, spread
from classifiers.pools import Pool, read_pool
from classifiers.selection import Candidate, told, write_selection
from classifiers.spec import HeadSpec
from classifiers.store import save_head, write_json
from features.environment import versions
from features.errors import UserError
from features.progress import progress

LOG = logging.getLogger("headstart")


def fit_head(
    features: Path, head: HeadSpec, directory: Path, *, validation: float, seed: int
) -> Path:
    """Fits a head and saves it, without ever reading the test split.

    Every candidate of the head's grids is fitted on the training rows and scored on the validation
    rows; the most accurate, the first of them where several are equal, is fitted again on both.
    Writes `selection.csv` (all candidates), `validation.npz` (what the chosen one said of the
    validation rows before it had seen them), `fit.json` (what was chosen and what it took) and the
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
        pool = read_pool(file, head.layers, head.view, validation=validation, seed=seed)
        fingerprint, classes = file.fingerprint, len(file.classes)
    known = np.unique(pool.labels[: pool.training])
    if len(known) < 2:
        raise UserError(
            f"{features}: the training images are all of one class; at least two are needed"
        )
    # A grid made for thousands of images must not fail on a few dozen.
    tried = [c for c in tried if c.get("k", 0) <= pool.training] or tried
    with _attempt(head.type, tried[0]):
        # Loads the head's library, whose seconds are not the search's.
        make_head(head.type, tried[0], seed)
    start = time.perf_counter()
    if head.search:
        results, best, scored = _drawn(pool, head, tried, directory / "search", seed)
    else:
        results, best, scored = _every(pool, known, head.type, tried, seed)
    search_seconds = time.perf_counter() - start
    write_selection(directory / "selection.csv", results)
    held = pool.labels[pool.training :]
    scores = spread(scored.scores, known, classes, scored.probabilities)
    write_validation(directory, pool.ids[pool.training :], held, scores)

    start = time.perf_counter()
    with _attempt(head.type, best.settings) as said:
        fitted = make_head(head.type, best.settings, seed)
        fitted.fit(pool.values, pool.labels, **scored.refit)
    fit_seconds = time.perf_counter() - start
    notes = list(
        dict.fromkeys([*edge_warnings(head.settings, best.settings), *best.warnings, *said])
    )
    for note in notes:
        LOG.warning(note)
    path = save_head(fitted, directory)
    write_json(
        directory / "fit.json",
        {
            "head": path.name,
            "type": head.type,
            "settings": best.settings,
            "status": best.status,
            "refit": scored.refit,
            "layers": head.layers,
            "view": head.view,
            "dimensions": pool.values.shape[1],
            "seed": seed,
            "training": {"images": pool.training},
            "validation": {
                "accuracy": best.accuracy,
                "images": len(held),
            },
            "seconds": {"search": search_seconds, "fit": fit_seconds},
            "warnings": notes,
            "versions": versions(),
            "fingerprint": fingerprint,
        },
    )
    return path


Searched = tuple[list[Candidate], Candidate, Scored]
"""All that was tried, the best of it, and what that one says of the validation rows."""


def _every(
    pool: Pool, known: np.ndarray, type: str, tried: Sequence[Mapping[str, Any]], seed: int
) -> Searched:
    """Fits every candidate on the training rows and scores it on the validation rows."""
    rows = slice(pool.training)
    held = pool.values[pool.training :], pool.labels[pool.training :]
    found = score_held(type, tried, pool.values[rows], pool.labels[rows], held, seed)
    results: list[Candidate] = []
    best: tuple[Candidate, Scored] | None = None
    with progress(len(tried), f"search {type}", unit="candidates") as advance:
        for settings in tried:
            start = time.perf_counter()
            with _attempt(type, settings) as said:
                scored = next(found)
            accuracy = float((known[scored.scores.argmax(axis=1)] == held[1]).mean())
            seconds = time.perf_counter() - start
            status = scored.status or ("not converged" if _unconverged(said) else "finished")
            until = scored.refit.get("until")
            results.append(Candidate(dict(settings), accuracy, seconds, status, said, until))
            # The first of equal ones stays.
            if best is None or accuracy > best[0].accuracy:
                best = results[-1], scored
            LOG.info(f"{told(settings)}: {accuracy:.4f} on validation, {seconds:.1f} s")
            advance(1)
    assert best is not None
    return results, *best


def _drawn(
    pool: Pool, head: HeadSpec, tried: Sequence[Mapping[str, Any]], folder: Path, seed: int
) -> Searched:
    """Has Keras Tuner draw the candidates, in a folder from which a killed search goes on."""
    from classifiers.network.search import search

    assert head.search is not None
    if len(tried) > 1:
        raise UserError(f"head {head.type}: with `search`, settings are no lists; see its `space`")
    X, held = pool.values[: pool.training], pool.values[pool.training :]
    y, truth = pool.labels[: pool.training], pool.labels[pool.training :]
    found = search(
        X,
        y,
        held,
        truth,
        space=head.search["space"],
        how=head.search["method"],
        settings=tried[0],
        folder=folder,
        seed=seed,
        limit_s=head.search["limit"],
    )
    if not found.whole:
        limit = f"the search was cut short by its limit of {head.search['limit']:g} s"
        found.best.warnings.append(f"{limit} after {len(found.tried)} candidates")
    scored = next(score_held(head.type, [found.best.settings], X, y, (held, truth), seed))
    return found.tried, found.best, scored


def _unconverged(said: Sequence[str]) -> bool:
    return any("converge" in line for line in said)


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
            raise UserError(f"head {type} with {told(settings)}: {error}") from error
    lines = (str(warning.message).strip().partition("\n")[0] for warning in caught)
    said.extend(dict.fromkeys(f"{told(settings)}: {line}" for line in lines))

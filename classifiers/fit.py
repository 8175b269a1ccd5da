"""Fitting a head: its settings chosen on validation, then refitted on all that is not test."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.calibration import write_validation
from classifiers.data import Features
from classifiers.grid import candidates, edge_warnings
from classifiers.heads import STREAMED, Scored, make_head, score_held, spread
from classifiers.pools import Pool, folds_of, read_pool
from classifiers.selection import Candidate, told, write_selection
from classifiers.spec import HeadSpec
from classifiers.store import save_head, write_json
from features.environment import peak_memory, versions
from features.errors import UserError
from features.progress import progress

LOG = logging.getLogger("headstart")


def fit_head(
    features: Path | Sequence[Path],
    head: HeadSpec,
    directory: Path,
    *,
    validation: float,
    seed: int,
    folds: int | None = None,
    memory: float | None = None,
) -> Path:
    """Fits a head and saves it, without ever reading the test split.

    Every candidate of the head's grids is fitted on the training rows and scored on the validation
    rows; the most accurate, the first of them where several are equal, is fitted again on both.
    Writes `selection.csv` (all candidates), `validation.npz` (what the chosen one said of the
    validation rows before it had seen them), `fit.json` (what was chosen and what it took) and the
    head itself into `directory`.

    Args:
        features: A features file, or several of the same images, to be joined.
        head: What to fit.
        directory: The run's directory.
        validation: The share of the training split to draw for validation, class by class, where
            the data brings no validation split.
        seed: Of that draw and of the head.
        folds: Chooses by cross-validation instead, in so many folds of training and validation
            images together; every one of them is then a validation image, once.
        memory: Bytes that the features may take in memory. Of more than that, heads that can
            (`classifiers.heads.STREAMED`) read them block by block, through dask. None: no limit.

    Returns:
        The head's file, `head.skops` or `head.keras`.

    Raises:
        UserError: The head asks for what is not there, its settings make no head, or the features
            are larger than the memory and it cannot do with less.
    """
    tried = list(candidates(head.settings))
    with Features(features) as opened:
        lazy = _too_large(opened, head, memory)
        draw = None if folds else validation
        pool = read_pool(opened, head.choice, validation=draw, seed=seed, lazy=lazy)
        fingerprint, made_by, dataset = opened.fingerprint, opened.made_by, opened.dataset
    if len(np.unique(pool.labels[: pool.training])) < 2:
        raise UserError(
            f"{opened.path}: the training images are all of one class; at least two are needed"
        )
    # A grid made for thousands of images must not fail on a few dozen.
    tried = [c for c in tried if c.get("k", 0) <= pool.training] or tried
    with _attempt(head.type, tried[0]):
        # Loads the head's library, whose seconds are not the search's.
        make_head(head.type, tried[0], seed)
    start = time.perf_counter()
    if head.search and folds:
        raise UserError(f"head {head.type}: a search by Keras Tuner takes no folds")
    if head.search:
        found = _drawn(pool, head, tried, directory / "search", seed)
    elif folds:
        found = _crossed(pool, head, tried, seed, folds)
    else:
        found = _every(pool, head, tried, seed)
    search_seconds = time.perf_counter() - start
    write_selection(directory / "selection.csv", found.tried)
    first = 0 if folds else pool.training
    held, best = pool.labels[first:], found.best
    write_validation(directory, pool.ids[first:], held, found.scored.scores)

    start = time.perf_counter()
    with _attempt(head.type, best.settings) as said:
        fitted = make_head(head.type, best.settings, seed, head.choice)
        fitted.fit(pool.values, pool.labels, **found.scored.refit)
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
            "probabilities": found.scored.probabilities,
            "status": best.status,
            "refit": found.scored.refit,
            **asdict(head.choice),
            "dimensions": pool.values.shape[-1],
            "classes": pool.classes,
            "seed": seed,
            "training": {"images": pool.training},
            "validation": {
                "accuracy": best.accuracy,
                "images": len(held),
                **({"folds": folds} if folds else {}),
            },
            "seconds": {"search": search_seconds, "fit": fit_seconds},
            "peak_memory_bytes": peak_memory(),
            "read_in_blocks": lazy,
            "warnings": notes,
            "versions": versions(),
            "fingerprint": fingerprint,
            "made_by": made_by,
            "dataset": dataset,
        },
    )
    return path


def _too_large(opened: Features, head: HeadSpec, memory: float | None) -> bool:
    """Whether the features are to be read block by block.

    Raises:
        UserError: They are, and the head cannot.
    """
    if memory is None:
        return False
    splits = [split for split in ("train", "validation") if split in opened.splits]
    size = 4 * sum(int(np.prod(opened.shape(split, head.choice))) for split in splits)
    if size <= memory:
        return False
    if head.type not in STREAMED or head.search:
        what = "a search by Keras Tuner" if head.search else f"a head of type {head.type}"
        raise UserError(
            f"{what} wants all features in memory, {size / 1e9:.1f} GB, and `memory` allows "
            f"{memory / 1e9:.1f}; raise it, choose fewer layers or views, or take a head that "
            f"reads block by block: {', '.join(sorted(STREAMED))}"
        )
    LOG.info(f"{size / 1e9:.1f} GB of features are read block by block")
    return True


@dataclass(frozen=True)
class Chosen:
    """What a search came to.

    Attributes:
        tried: Every candidate, in order.
        best: The one that was chosen.
        scored: What it said of the validation rows, of every class.
    """

    tried: list[Candidate]
    best: Candidate
    scored: Scored


def _every(pool: Pool, head: HeadSpec, tried: Sequence[Mapping[str, Any]], seed: int) -> Chosen:
    """Fits every candidate on the training rows and scores the validation rows by it."""
    rows, held = slice(pool.training), slice(pool.training, None)
    results: list[Candidate] = []
    best: tuple[Candidate, Scored] | None = None
    for candidate, scored in _scored(pool, head, tried, seed, rows, held):
        right = scored.scores.argmax(axis=1) == pool.labels[held]
        results.append(replace(candidate, accuracy=float(right.mean())))
        # The first of equal ones stays.
        if best is None or results[-1].accuracy > best[0].accuracy:
            best = results[-1], scored
        LOG.info(
            f"{told(candidate.settings)}: {results[-1].accuracy:.4f} on validation, "
            f"{candidate.seconds:.1f} s"
        )
    assert best is not None
    return Chosen(results, *best)


def _crossed(
    pool: Pool,
    head: HeadSpec,
    tried: Sequence[Mapping[str, Any]],
    seed: int,
    folds: int,
) -> Chosen:
    """Has every row be a validation row once; the scores are those of all rows, of all classes.

    What the best candidate says of them is found by fitting it once more a fold: to keep what all
    of them say would take too much memory.
    """
    fold = folds_of(pool.labels, folds, seed)
    if len(tried) == 1:
        settings, results = tried[0], []
    else:
        right = np.zeros(len(tried))
        found: list[list[Candidate]] = [[] for _ in tried]
        for number in range(folds):
            rows, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            along = _scored(pool, head, tried, seed, rows, held)
            for place, (candidate, scored) in enumerate(along):
                right[place] += (scored.scores.argmax(axis=1) == pool.labels[held]).sum()
                found[place].append(candidate)
        results = [
            _together(one, float(hits / len(fold))) for one, hits in zip(found, right, strict=True)
        ]
        for one in results:
            LOG.info(f"{told(one.settings)}: {one.accuracy:.4f} in {folds} folds")
        settings = max(results, key=lambda one: one.accuracy).settings
    scores = np.empty((len(fold), len(pool.classes)), np.float32)
    each, untils, probabilities = [], [], True
    for number in range(folds):
        rows, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        ((candidate, scored),) = _scored(pool, head, [settings], seed, rows, held)
        scores[held] = scored.scores
        each.append(candidate)
        untils += [scored.refit["until"]] if scored.refit else []
        probabilities = scored.probabilities
    accuracy = float((scores.argmax(axis=1) == pool.labels).mean())
    # Its accuracy in the search stays: by how it was chosen is how it is ranked.
    best = max(results, key=lambda one: one.accuracy) if results else _together(each, accuracy)
    refit = {"until": int(np.median(untils))} if untils else {}
    return Chosen(results or [best], best, Scored(scores, probabilities, refit))


def _together(one: Sequence[Candidate], accuracy: float) -> Candidate:
    """A candidate over the folds."""
    statuses = [fit.status for fit in one]
    return Candidate(
        one[0].settings,
        accuracy,
        sum(fit.seconds for fit in one),
        next((status for status in statuses if status != "finished"), "finished"),
        list(dict.fromkeys(line for fit in one for line in fit.warnings)),
        int(np.median([fit.epochs for fit in one])) if one[0].epochs is not None else None,
    )


def _scored(
    pool: Pool,
    head: HeadSpec,
    tried: Sequence[Mapping[str, Any]],
    seed: int,
    rows: slice | np.ndarray,
    held: slice | np.ndarray,
) -> Iterator[tuple[Candidate, Scored]]:
    """Each candidate, fitted on some rows, on others, with a score for every class.

    Its accuracy is for the caller to judge.
    """
    known = np.unique(pool.labels[rows])
    found = score_held(
        head.type,
        tried,
        pool.values[rows],
        pool.labels[rows],
        (pool.values[held], pool.labels[held]),
        seed,
        head.choice,
    )
    with progress(len(tried), f"search {head.type}", unit="candidates") as advance:
        for settings in tried:
            start = time.perf_counter()
            with _attempt(head.type, settings) as said:
                scored = next(found)
            seconds = time.perf_counter() - start
            status = scored.status or ("not converged" if _unconverged(said) else "finished")
            until = scored.refit.get("until")
            every = spread(scored.scores, known, len(pool.classes), scored.probabilities)
            candidate = Candidate(dict(settings), float("nan"), seconds, status, said, until)
            yield candidate, replace(scored, scores=every)
            advance(1)


def _drawn(
    pool: Pool, head: HeadSpec, tried: Sequence[Mapping[str, Any]], folder: Path, seed: int
) -> Chosen:
    """Has Keras Tuner draw the candidates, in a folder from which a killed search goes on."""
    from classifiers.network.search import search
    from classifiers.prepared import as_rows, labels_of_rows, projection_of

    assert head.search is not None
    if len(tried) > 1:
        raise UserError(f"head {head.type}: with `search`, settings are no lists; see its `space`")
    X, held = pool.values[: pool.training], pool.values[pool.training :]
    y, truth = pool.labels[: pool.training], pool.labels[pool.training :]
    rows, others = as_rows(X), as_rows(held)
    if projection := projection_of(head.choice, rows):
        rows, others = projection(rows), projection(others)
    found = search(
        rows,
        labels_of_rows(y, X),
        others,
        labels_of_rows(truth, held),
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
    ((_, scored),) = _scored(
        pool, head, [found.best.settings], seed, slice(pool.training), slice(pool.training, None)
    )
    return Chosen(found.tried, found.best, scored)


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

"""What may be wrong with the labels: confident learning on out-of-fold predictions.

Written here and not taken from cleanlab, whose own dependencies (pandas and what that brings) are
more than the two formulas that are needed.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.calibration import fit_temperature, tempered
from classifiers.data import Features
from classifiers.heads import class_scores, make_head
from classifiers.pools import folds_of, read_pool
from classifiers.spec import Choice
from classifiers.store import read_json
from features.errors import UserError
from features.files import whole_file
from features.progress import progress

LOG = logging.getLogger("headstart")

FOLDS = 5

COLUMNS = ("image", "given", "suggested", "score", "given_probability", "suggested_probability")


@dataclass(frozen=True)
class Suspects:
    """Rows whose label is likely wrong, the likeliest first.

    Attributes:
        rows: int64 (suspects,).
        suggested: int64 (suspects,): the label each should rather have.
        scores: float64 (suspects,): the probability of the suggested label less that of the given
            one, between 0 and 1.
    """

    rows: np.ndarray
    suggested: np.ndarray
    scores: np.ndarray


def find_suspects(
    features: Path | Sequence[Path],
    directory: Path,
    output: Path,
    *,
    validation: float,
    folds: int = FOLDS,
) -> int:
    """Lists the training and validation images whose label is likely wrong.

    Every image is predicted by a run's head, with the settings that its search chose, fitted on the
    other folds. The test split stays closed: its labels are to judge, and not to be mended by what
    is judged. A suspect is no verdict: look at the image. The better the head, the more of them are
    wrong labels; one that errs often doubts what is merely hard.

    Args:
        features: The features file or files that the run was fitted on.
        directory: The run's directory, holding its fit.json.
        output: The CSV file, one row a suspect, the likeliest first: `COLUMNS`.
        validation: The share of the training split that the run drew for validation.
        folds: How many folds.

    Returns:
        How many suspects there are.

    Raises:
        UserError: The run is of other features, or its head cannot be fitted on the folds.
    """
    fitted = read_json(directory / "fit.json")
    choice = Choice.of(fitted)
    with Features(features) as opened:
        if opened.fingerprint != fitted["fingerprint"]:
            raise UserError(
                f"{directory}: fitted on features {fitted['fingerprint'][:8]}, but {opened.path} "
                f"holds {opened.fingerprint[:8]}; run its search again"
            )
        pool = read_pool(opened, choice, validation=validation, seed=fitted["seed"])
        classes = opened.classes
    probabilities = out_of_fold(
        pool.values,
        pool.labels,
        fitted["type"],
        fitted["settings"],
        classes=len(classes),
        folds=folds,
        seed=fitted["seed"],
        choice=choice,
    )
    found = confident_learning(pool.labels, probabilities)
    with whole_file(output) as part, part.open("w", newline="", encoding="utf-8") as target:
        table = csv.writer(target)
        table.writerow(COLUMNS)
        for row, label, score in zip(found.rows, found.suggested, found.scores, strict=True):
            given = int(pool.labels[row])
            shares = [round(float(probabilities[row, of]), 4) for of in (given, label)]
            names = pool.ids[row], classes[given], classes[label]
            table.writerow([*names, round(float(score), 4), *shares])
    share = len(found.rows) / len(pool.labels)
    LOG.info(f"{len(found.rows):,} labels of {len(pool.labels):,} are in doubt ({share:.1%})")
    return len(found.rows)


def out_of_fold(
    values: np.ndarray,
    labels: np.ndarray,
    type: str,
    settings: dict[str, Any],
    *,
    classes: int,
    folds: int,
    seed: int,
    choice: Choice | None = None,
) -> np.ndarray:
    """Probabilities of each row by a head that was fitted on the other folds.

    The folds are drawn class by class. A head without probabilities gets them by a temperature
    fitted to its out-of-fold decision values.

    Args:
        values: float32 (images, dimensions) or (images, views, dimensions).
        labels: int64 (images,).
        type: The head's type.
        settings: One value each.
        classes: How many classes there are.
        folds: How many folds.
        seed: Of the folds and of the head.
        choice: What is done to the features before it.

    Returns:
        float32 (images, classes).

    Raises:
        UserError: The head cannot be fitted on the other folds.
    """
    fold = folds_of(labels, folds, seed)
    scores = np.empty((len(labels), classes), np.float32)
    given = True
    with progress(folds, f"{type} out of fold", unit="folds") as advance:
        for number in range(folds):
            held = fold == number
            try:
                head = make_head(type, settings, seed, choice)
                head.fit(values[~held], labels[~held])
                if held.any():
                    scores[held] = class_scores(head, values[held], classes)
            except ValueError as error:
                raise UserError(f"head {type}, fold {number + 1} of {folds}: {error}") from error
            given = hasattr(head, "predict_proba")
            advance(1)
    return scores if given else tempered(scores, fit_temperature(scores, labels))


def confident_learning(labels: np.ndarray, probabilities: np.ndarray) -> Suspects:
    """The labels that contradict what is confidently predicted.

    Northcutt, C. G., Jiang, L. and Chuang, I. L. (2021): Confident learning: estimating uncertainty
    in dataset labels. Journal of Artificial Intelligence Research 70, 1373-1411. A class's
    threshold is the mean probability of the class on the images that bear its label; an image is
    confidently of the most probable class whose threshold it reaches (section 3.1, equations 1 and
    2). What share of a label's confident images is of another class, is the share of its images
    that is wrong (equation 3), and as many are taken, those whose label is the least probable
    (section 3.2, method 3: prune by class, which found the most of what was flipped here). They are
    ranked by their margin.

    Args:
        labels: int64 (images,).
        probabilities: (images, classes), of images that the head was not fitted on.

    Returns:
        The suspects. An image whose class has no other image is none, for nothing could be learnt
        of that class without it.
    """
    count = probabilities.shape[1]
    sizes = np.bincount(labels, minlength=count)
    given = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    thresholds = np.bincount(labels, given, count) / np.maximum(sizes, 1)
    # A class that no label names is no suggestion.
    reached = (probabilities >= thresholds) & (sizes > 0)
    sure = reached.any(axis=1)
    confident = np.where(reached, probabilities, -1.0).argmax(axis=1)
    agreeing = np.bincount(labels[sure & (confident == labels)], minlength=count)
    wrong = 1 - agreeing / np.maximum(np.bincount(labels[sure], minlength=count), 1)
    # Each row's place among those of its label, the least probable first.
    order = np.lexsort((given, labels))
    place = np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels)) - (np.cumsum(sizes) - sizes)[labels[order]]
    best = probabilities.argmax(axis=1)
    taken = place < np.round(wrong * sizes)[labels]
    rows = np.flatnonzero(taken & (best != labels) & (sizes[labels] > 1))
    margins = probabilities[rows, best[rows]].astype(np.float64) - given[rows]
    ranks = np.argsort(-margins, kind="stable")
    return Suspects(rows[ranks], best[rows[ranks]], margins[ranks])

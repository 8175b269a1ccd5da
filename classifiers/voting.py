"""Soft voting: the mean of the probabilities of heads that are fitted already.

No head is fitted again: a vote is made of what its members said of the validation images, and its
evaluation of what they said of the test images. Each member's probabilities are those at the
temperature that fits its validation scores best (Guo, C. et al. (2017): On calibration of modern
neural networks. ICML 2017, section 4.2), so that heads with decision values alone can vote, and no
head outvotes the others by being too sure of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.calibration import (
    Validated,
    logits,
    read_validated,
    tempered,
    validation_ids,
    write_validation,
)
from classifiers.evaluate import Predictions, write_evaluation
from classifiers.selection import Candidate, write_selection
from classifiers.store import read_json, write_json
from features.environment import versions
from features.errors import UserError

PLACEHOLDERS: dict[str, Any] = {
    "layers": None,
    "view": None,
    "root": False,
    "pca": None,
    "whiten": False,
}
"""What other heads see of the features; a vote sees none."""


def fit_vote(members: Sequence[Path], directory: Path, *, seed: int) -> None:
    """Has fitted heads vote on the validation images.

    Writes `fit.json`, `selection.csv` and `validation.npz`, as `classifiers.fit.fit_head` does.

    Args:
        members: The directories of the runs that vote.
        directory: The run's own.
        seed: Of the members.

    Raises:
        UserError: The members were not judged on the same validation images.
    """
    fits = [read_json(member / "fit.json") for member in members]
    said: list[Validated] = []
    for member, fitted in zip(members, fits, strict=True):
        held = read_validated(member, probabilities=fitted["probabilities"])
        if held is None:
            raise UserError(f"{member} has no validation.npz; delete its fit.json and run again")
        said.append(held)
    ids = validation_ids(members[0])
    for member in members[1:]:
        if validation_ids(member) != ids:
            raise UserError(
                f"{member} and {members[0]} were judged on different validation images: they "
                "cannot vote together"
            )
    labels = said[0].labels
    vote = _mean([tempered(held.logits, held.temperature) for held in said])
    accuracy = float((vote.argmax(axis=1) == labels).mean())
    settings = {"heads": [member.name.rpartition(".")[0] for member in members]}
    write_validation(directory, ids, labels, vote)
    write_selection(
        directory / "selection.csv", [Candidate(settings, accuracy, 0.0, "finished", [])]
    )
    seconds = {
        stage: sum(fitted["seconds"][stage] for fitted in fits) for stage in ("search", "fit")
    }
    write_json(
        directory / "fit.json",
        {
            "head": None,
            "type": "vote",
            "settings": settings,
            "members": [member.name for member in members],
            "temperatures": [held.temperature for held in said],
            "probabilities": True,
            "status": "finished",
            **PLACEHOLDERS,
            "dimensions": sum(fitted["dimensions"] for fitted in fits),
            "classes": fits[0]["classes"],
            "seed": seed,
            "training": fits[0]["training"],
            "validation": {**fits[0]["validation"], "accuracy": accuracy},
            "seconds": seconds,
            "warnings": [],
            "versions": versions(),
            "dataset": fits[0].get("dataset"),
        },
    )


def evaluate_vote(members: Sequence[Path], directory: Path, *, further: str | None = None) -> None:
    """Has the heads vote on a test split, from what each said of it; writes as `evaluate_head`.

    Args:
        members: The directories of the runs that vote, evaluated, in the order of `fit_vote`.
        directory: The run's own.
        further: The name of a further test set.

    Raises:
        UserError: The members are others than those of the fit, or were judged on other images.
    """
    fitted = read_json(directory / "fit.json")
    if [member.name for member in members] != fitted["members"]:
        raise UserError(f"{directory}: other heads vote now; delete its fit.json and run again")
    suffix = f".{further}" if further else ""
    metrics = [read_json(member / f"metrics{suffix}.json") for member in members]
    ids: list[list[str]] = []
    scores: list[np.ndarray] = []
    passes: dict[str, float | None] = {}
    for member, measured, temperature in zip(members, metrics, fitted["temperatures"], strict=True):
        with np.load(member / f"predictions{suffix}.npz", allow_pickle=False) as kept:
            ids.append(kept["ids"].tolist())
            labels, said = kept["labels"], kept["scores"]
        if ids[-1] != ids[0]:
            raise UserError(f"{member} and {members[0]} were judged on different test images")
        known = read_json(member / "fit.json")["probabilities"]
        scores.append(tempered(logits(said, probabilities=known), temperature))
        passes |= measured["passes"]
    write_evaluation(
        directory,
        fitted,
        Predictions(ids[0], labels, _mean(scores), True),
        further=further,
        passes=passes,
        predict_seconds=sum(measured["seconds"]["predict"] for measured in metrics),
        head_bytes=sum(measured["head_bytes"] for measured in metrics),
    )


def _mean(scores: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of the members' probabilities, float32 (images, classes)."""
    total = np.zeros(scores[0].shape, np.float64)
    for one in scores:
        total += one
    mean: np.ndarray = (total / len(scores)).astype(np.float32)
    return mean

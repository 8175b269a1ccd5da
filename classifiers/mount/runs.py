"""The run to be mounted, or those that vote in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from classifiers.calibration import read_validated
from classifiers.data import Features, joined_fingerprint
from classifiers.spec import Choice
from classifiers.store import read_json
from features.cache import FeatureFile
from features.errors import UserError


class CannotMount(UserError):
    """A run that is no layers of Keras by its nature, whatever is done to its files."""


MOUNTED = ("logistic", "svm", "ridge", "lda", "nearest_mean", "knn", "dense")
"""The heads that are a few of Keras' own layers."""


@dataclass(frozen=True)
class Run:
    """One fitted head, and what it sees of which features.

    Attributes:
        directory: The run's folder.
        fitted: Its fit.json.
        choice: What the head sees.
        views: "identity", "mirror" or both.
        layers: Of each features file that it was fitted on the layers, in the order of
            `Features.matrix`.
        temperature: What makes probabilities of its scores; None: they are probabilities already.
    """

    directory: Path
    fitted: Mapping[str, Any]
    choice: Choice
    views: Sequence[str]
    layers: Mapping[Path, Sequence[str]]
    temperature: float | None


def read_runs(directory: Path, features: Sequence[Path], *, with_head: bool = True) -> list[Run]:
    """Reads what is to be mounted: a run, or the runs that vote, whose folders lie beside it.

    Args:
        directory: The run's folder.
        features: The features files; of a vote, those of all its members.
        with_head: Whether the head is mounted too, which not every type of head can be.

    Returns:
        The run; of a vote its members, of whose probabilities it gives the mean.

    Raises:
        CannotMount: The head is no Keras layer, or it sees views that depend on an image's name.
        UserError: The run was fitted on other features, or a file is missing or damaged.
    """
    fitted = read_json(directory / "fit.json")
    if fitted["type"] != "vote":
        if with_head:
            _check_type(directory, fitted)
        temperature = temperature_of(directory, fitted)
        return [_run(directory, fitted, features, temperature)]
    runs = []
    for name, temperature in zip(fitted["members"], fitted["temperatures"], strict=True):
        member = directory.parent / name
        its = read_json(member / "fit.json")
        _check_type(member, its)
        runs.append(_run(member, its, features, temperature))
    return runs


def _check_type(directory: Path, fitted: Mapping[str, Any]) -> None:
    if fitted["type"] not in MOUNTED:
        raise CannotMount(
            f"{directory}: a head of type {fitted['type']} is no few layers of Keras; those that "
            f"are: {', '.join(MOUNTED)}"
        )


def _run(
    directory: Path, fitted: Mapping[str, Any], features: Sequence[Path], temperature: float | None
) -> Run:
    choice = Choice.of(fitted)
    files = _files_of(directory, fitted, features)
    with Features(files) as opened:
        views, layers = opened.seen(choice)
    drawn = [view for view in views if view not in ("identity", "mirror")]
    if drawn:
        raise CannotMount(
            f"{directory}: its head sees the view {drawn[0]}, which is drawn from an image's name "
            "in the data set, and an image that comes alone has none; fit the head on features "
            "with `views: [identity, mirror]`"
        )
    by_file = dict(zip(files, layers, strict=True))
    return Run(directory, fitted, choice, views, by_file, temperature)


def _files_of(
    directory: Path, fitted: Mapping[str, Any], features: Sequence[Path]
) -> Sequence[Path]:
    """Those of the features files that a head was fitted on."""
    with ExitStack() as stack:
        prints = {path: stack.enter_context(FeatureFile(path)).fingerprint for path in features}
    for count in range(1, len(prints) + 1):
        for some in combinations(prints, count):
            if joined_fingerprint([prints[path] for path in some]) == fitted["fingerprint"]:
                return some
    raise UserError(
        f"{directory}: fitted on features {fitted['fingerprint'][:8]}, which are not those of "
        f"{', '.join(map(str, features))}; give the features files that it was fitted on, of "
        "several backbones in the order in which the study joins them"
    )


def temperature_of(directory: Path, fitted: Mapping[str, Any]) -> float | None:
    """The temperature at which a run's decision values fit the validation images best.

    Args:
        directory: The run's folder.
        fitted: Its fit.json.

    Returns:
        None where its head gives probabilities.

    Raises:
        UserError: The validation images' scores are missing.
    """
    if fitted["probabilities"]:
        return None
    held = read_validated(directory, probabilities=False)
    if held is None:
        raise UserError(
            f"{directory}: its head gives no probabilities, and without validation.npz none can be "
            "made of its scores; delete its fit.json and run again"
        )
    return held.temperature

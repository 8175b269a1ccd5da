"""A study's runs as models, and the best of them as one folder to take away."""

from __future__ import annotations

import csv
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from classifiers.export.card import write_card
from classifiers.export.folder import (
    DESCRIPTION,
    KERAS,
    OPENVINO,
    Exported,
    check_files,
    read_exported,
)
from classifiers.export.forms import write_forms
from classifiers.export.run import export_run, made_of
from features.errors import UserError
from features.files import disk_errors

LOG = logging.getLogger("headstart")


Seen = Sequence[tuple[Path, Path | None]]
"""The features files that a run was fitted on, each with its local weights file, if it has one."""


def export_study(runs: Mapping[Path, Seen], leaderboard: Path, to: Path, *, study: str) -> Exported:
    """Exports every run that was fitted since it was last exported, then the best into a folder.

    Where the best run cannot be exported it is the best of those that can, and the card says so;
    where none can, there is no model in the folder, and it says why. The best is written for
    OpenVINO as well, where that is installed, which starts at once.

    Args:
        runs: The runs by their folders, all in one; of a vote what its members see.
        leaderboard: The study's leaderboard, by rank.
        to: The folder of the best.
        study: The study's name.

    Raises:
        UserError: A file is missing or damaged, or the disk does not take it.
    """
    found = {}
    for run, seen in runs.items():
        found[run.name] = (
            run,
            _current(run)
            or export_run(
                run,
                [features for features, _ in seen],
                weights=[weights for _, weights in seen],
                study=study,
            ),
        )
    with leaderboard.open(encoding="utf-8", newline="") as file:
        ranked = ["{backbone}.{head}.{seed}".format(**row) for row in csv.DictReader(file)]
    # Where none can be exported the first stands for all, with why not.
    best = next((name for name in ranked if found[name][1].files), ranked[0])
    folder, exported = found[best]
    better = [(name, str(found[name][1].why)) for name in ranked[: ranked.index(best)]]
    for name, why in better:
        LOG.warning(f"{name} is better, and cannot be exported: {why}")
    if not exported.files:
        LOG.warning(f"no run of this study can be exported: {exported.why}")
    if exported.has(KERAS) and not exported.has(OPENVINO) and find_spec("openvino"):
        try:
            # In the run's own folder, where it stays for the next time that this run is the best.
            exported = write_forms(folder, exported, ["openvino"])
        except UserError as error:
            # Keras' own form does without it.
            LOG.warning(str(error))
    with disk_errors(to):
        shutil.rmtree(to, ignore_errors=True)
        for name in (*exported.files, DESCRIPTION):
            _bring(folder / name, to / name)
    write_card(folder, exported, better, to / "README.md")
    return exported


def _current(run: Path) -> Exported | None:
    """What was exported of a run, if it is whole and the run is still the same."""
    try:
        _, exported = read_exported(run)
        check_files(run, exported, exported.files)
    except UserError:
        return None
    return exported if exported.made_of == made_of(run) else None


def _bring(source: Path, target: Path) -> None:
    """Links a file, which takes no room, or copies it where there are no such links.

    No file of a run is ever written into: a new one takes the place of the old.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

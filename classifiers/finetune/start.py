"""The head that a training starts from, as it was before it saw the validation images."""

from __future__ import annotations

import shutil
from pathlib import Path

from classifiers.calibration import VALIDATION
from classifiers.data import Features
from classifiers.finetune.settings import GRADIENTS
from classifiers.heads import make_head
from classifiers.pools import read_pool
from classifiers.spec import Choice
from classifiers.store import read_json, save_head
from features.errors import UserError


def fit_start(run: Path, features: Path, directory: Path, validation: float, seed: int) -> None:
    """Fits a run's head again, at the settings that were chosen, on the training images alone.

    A run's own head is fitted on the validation images too, which are to choose an epoch.

    Args:
        run: The run's folder.
        features: The features file that it was fitted on.
        directory: Where fit.json, validation.npz and the head are put.
        validation: The share of the training split that is validated on, where the data brings no
            such split.
        seed: Of that draw and of the head.

    Raises:
        UserError: The head is none that gradients can train further, or a file is damaged.
    """
    fitted = read_json(run / "fit.json")
    if fitted["type"] not in GRADIENTS:
        raise UserError(
            f"{run}: a head of type {fitted['type']} is nothing that gradients could train "
            f"further; start from one of {', '.join(GRADIENTS)}"
        )
    choice = Choice.of(fitted)
    with Features(features) as opened:
        pool = read_pool(opened, choice, validation=validation, seed=seed)
    rows = slice(pool.training)
    head = make_head(fitted["type"], fitted["settings"], seed, choice)
    head.fit(pool.values[rows], pool.labels[rows], **fitted["refit"])
    directory.mkdir(parents=True, exist_ok=True)
    save_head(head, directory)
    # The temperature that goes with decision values is fitted to what is said in there.
    for name in ("fit.json", VALIDATION):
        shutil.copyfile(run / name, directory / name)

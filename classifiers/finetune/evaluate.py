"""Evaluating a fine-tuned network, once, on the test split."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from classifiers.data import Features
from classifiers.evaluate import Predictions, by_name, write_evaluation
from classifiers.finetune.fit import MODEL
from classifiers.finetune.predict import predicted
from classifiers.finetune.rows import LiveImages, rows_of
from classifiers.store import read_json
from features.datasets import open_images
from features.errors import UserError
from features.load import loader
from features.spec import specs_of

if TYPE_CHECKING:
    import keras

BATCH = 32

MEMORY = 1e9
"""Bytes that the images may take; of more, they are read one by one."""


def evaluate_tuned(
    dataset_file: Path,
    root: Path | None,
    features: Path | None,
    directory: Path,
    *,
    further: str | None = None,
) -> None:
    """Predicts a test split with the live network, from its images.

    Writes `metrics.json` and `predictions.npz` as `classifiers.evaluate.evaluate_head` does.

    Args:
        dataset_file: The data set that it was trained on, or a further test set.
        root: Where the images are, for a folder of images.
        features: The features file of the head that it started from, whose pass is part of what it
            cost; None where it started from none.
        directory: The run's folder.
        further: The name of the further test set.

    Raises:
        UserError: The network is missing or damaged, or knows none of a class of the test split.
    """
    fitted = read_json(directory / "fit.json")
    classes: list[str] = fitted["classes"]
    model = load_tuned(directory / MODEL)
    _, backbone = specs_of(fitted["spec"])
    with open_images(dataset_file, root) as images:
        rows = rows_of(images, "test")
        if not len(rows):
            raise UserError(f"{dataset_file}: the test split holds no image")
        labels = by_name(rows.labels, images.classes, classes, f"{dataset_file}: the network")
        source = LiveImages(images, loader(images, backbone, in_graph=False), backbone.size, MEMORY)
        start = time.perf_counter()
        scores = predicted(model, source, rows, BATCH)
        seconds = time.perf_counter() - start
    write_evaluation(
        directory,
        fitted,
        Predictions(rows.ids, labels, scores, probabilities=True),
        further=further,
        passes=_passes(features) | fitted["passes"],
        predict_seconds=seconds,
        head_bytes=(directory / MODEL).stat().st_size,
    )


def load_tuned(path: Path) -> keras.Model:
    """Reads a fine-tuned network without running code from its file.

    Raises:
        UserError: There is no such file, or it is damaged.
    """
    import keras

    if not path.is_file():
        raise UserError(f"{path}: no such network; build it with snakemake")
    try:
        model: keras.Model = keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever the damage leads to.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(
            f"{path}: not a whole network of this project ({reason}); delete it and run again"
        ) from error
    return model


def _passes(features: Path | None) -> dict[str, float | None]:
    if features is None:
        return {}
    with Features(features) as opened:
        return opened.seconds

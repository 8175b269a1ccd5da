"""The form of an exported run that is there, as one function from images to probabilities."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from classifiers.export.folder import (
    FEATURES,
    KERAS,
    OPENVINO,
    OPENVINO_WEIGHTS,
    Exported,
    check_files,
)
from features.errors import UserError

Run = Callable[[np.ndarray], np.ndarray]
"""From uint8 (batch, height, width, 3) to float32 (batch, classes)."""


def engine(folder: Path, exported: Exported, *, estimator: str | None = None) -> Run:
    """Loads the quickest form that this machine can run.

    Args:
        folder: The exported folder.
        exported: What stands in it.
        estimator: Where a user's own head is imported from, `package.module:Class`, as the study
            says it: a file never names code to run.

    Raises:
        UserError: A file is missing, was changed, or cannot be read; or there is no model.
    """
    if exported.has(OPENVINO) and find_spec("openvino"):
        check_files(folder, exported, (OPENVINO, OPENVINO_WEIGHTS))
        return _openvino(folder / OPENVINO)
    if exported.has(KERAS):
        check_files(folder, exported, (KERAS,))
        return _keras(folder / KERAS)
    if exported.has(FEATURES):
        check_files(folder, exported, exported.files)
        return _features_and_head(folder, exported, estimator)
    if exported.has(OPENVINO):
        raise UserError(f"{folder}: its one form wants OpenVINO: uv sync --extra cpu")
    raise UserError(f"{folder}: this run has no model: {exported.why}")


def _openvino(path: Path) -> Run:
    import openvino

    try:
        # Said explicitly: left alone, OpenVINO takes bfloat16 where the processor has it.
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(path, "CPU", settings)
    # OpenVINO raises RuntimeError for whatever it cannot read.
    except RuntimeError as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise UserError(
            f"{path}: OpenVINO {openvino.__version__} does not read it ({reason}); export anew"
        ) from error
    # A copy: what is given lies in the request's own memory.
    return lambda images: np.array(compiled(images)[0])


def _keras(path: Path) -> Run:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from classifiers.export.forms import load_keras

    model = load_keras(path)
    return lambda images: np.asarray(model(images, training=False))


def _features_and_head(folder: Path, exported: Exported, estimator: str | None) -> Run:
    from classifiers.calibration import logits, tempered
    from classifiers.heads import class_scores
    from classifiers.store import load_run, read_json

    features = _keras(folder / FEATURES)
    head, _ = load_run(folder, read_json(folder / "fit.json"), estimator=estimator)

    def run(images: np.ndarray) -> np.ndarray:
        scores = class_scores(head, features(images), len(exported.classes))
        if exported.temperature is None:
            return scores
        wide = logits(scores, probabilities=False)
        return tempered(wide, exported.temperature)

    return run

"""The form of an exported run that is there, as one function from images to probabilities."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
from features.resize import resize
from features.views import see


@dataclass(frozen=True)
class Engine:
    """What makes predictions.

    Attributes:
        run: From images, uint8 (height, width, 3) each, to float32 (images, classes).
        mixed: Whether the images of a call may be of different sizes.
    """

    run: Callable[[Sequence[np.ndarray]], np.ndarray]
    mixed: bool = False


def engine(folder: Path, exported: Exported, *, estimator: str | None = None) -> Engine:
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
        return openvino_engine(folder / OPENVINO, exported.inputs)
    if exported.has(KERAS):
        check_files(folder, exported, (KERAS,))
        return _keras(folder / KERAS)
    if exported.has(FEATURES):
        check_files(folder, exported, exported.files)
        return _features_and_head(folder, exported, estimator)
    if exported.has(OPENVINO):
        raise UserError(f"{folder}: its one form wants OpenVINO: uv sync --extra cpu")
    raise UserError(f"{folder}: this run has no model: {exported.why}")


def openvino_engine(path: Path, inputs: Sequence[Mapping[str, Any]]) -> Engine:
    """The form for OpenVINO, with the resize before it, which is the pass's own.

    Args:
        path: The `.xml` file.
        inputs: As `classifiers.mount.resized.behind_the_resizes` gives them.

    Raises:
        UserError: OpenVINO does not read it.
    """
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

    def run(images: Sequence[np.ndarray]) -> np.ndarray:
        given = {place: _resized(images, **how) for place, how in enumerate(inputs)}
        # A copy: what is given lies in the request's own memory.
        return np.array(compiled(given)[0])

    return Engine(run, mixed=True)


def _resized(
    images: Sequence[np.ndarray],
    *,
    view: str,
    size: Sequence[int],
    interpolation: str,
    mode: str,
    antialias: bool,
) -> np.ndarray:
    height, width = size
    return np.stack(
        [
            resize(seen, (height, width), interpolation, mode, antialias)
            for image in images
            for seen in see(view, [image], [""])
        ]
    )


def _keras(path: Path) -> Engine:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from classifiers.export.forms import load_keras

    model = load_keras(path)
    return Engine(lambda images: np.asarray(model(np.stack(images), training=False)))


def _features_and_head(folder: Path, exported: Exported, estimator: str | None) -> Engine:
    from classifiers.calibration import logits, tempered
    from classifiers.heads import class_scores
    from classifiers.store import load_run, read_json

    features = _keras(folder / FEATURES).run
    head, _ = load_run(folder, read_json(folder / "fit.json"), estimator=estimator)

    def run(images: Sequence[np.ndarray]) -> np.ndarray:
        scores = class_scores(head, features(images), len(exported.classes))
        if exported.temperature is None:
            return scores
        wide = logits(scores, probabilities=False)
        return tempered(wide, exported.temperature)

    return Engine(run)

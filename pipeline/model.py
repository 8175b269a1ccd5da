"""The commands around an exported run: predict, export, serve."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def predict(path: Path, images: Sequence[Path], top: int, form: str, estimator: str | None) -> int:
    """Prints what an exported run says of images.

    Args:
        path: The exported run.
        images: Image files and folders.
        top: How many classes of each.
        form: One of `classifiers.predict.told.FORMATS`.
        estimator: Where the study's own head is imported from, if it has one.

    Returns:
        The exit status: 1 where a file could not be read.

    Raises:
        UserError: There is no such model or file.
    """
    from classifiers.predict.files import files_of, predict_files, quiet_about_large_images
    from classifiers.predict.model import load
    from classifiers.predict.told import write

    quiet_about_large_images()
    model = load(path, estimator=estimator)
    top = min(top, len(model.classes))
    try:
        good, bad = write(predict_files(model, files_of(images), top), form, top, sys.stdout)
    except BrokenPipeError:
        # Who reads has read enough; what Python would still flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if bad:
        print(f"headstart: {bad} of {good + bad} files could not be read", file=sys.stderr)
    return 1 if bad else 0


def export(path: Path, forms: Sequence[str]) -> int:
    """Writes an exported run in further forms, and says where they are.

    Raises:
        UserError: It cannot be written so.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from classifiers.export.folder import FORMS, read_exported
    from classifiers.export.forms import write_forms

    folder, exported = read_exported(path)
    write_forms(folder, exported, forms)
    for form in forms:
        print(folder / FORMS[form][0])
    return 0


def serve(path: Path, port: int, estimator: str | None) -> int:
    """Serves an exported run on this machine alone, until it is interrupted.

    Raises:
        UserError: There is no such model, or the port is taken.
    """
    from classifiers.serve.run import serve as run

    run(path, port, estimator=estimator)
    return 0

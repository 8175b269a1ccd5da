"""The file of a mounted model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import UserError
from features.files import disk_errors, whole_file

if TYPE_CHECKING:
    import keras


class ForeignLayers(UserError):
    """A model that Keras alone could not read from a file."""


def save_mounted(model: keras.Model, path: Path) -> None:
    """Saves a mounted model, whole or not at all.

    `keras.saving.load_model(path)` reads it where nothing but Keras is installed.

    Args:
        model: As `classifiers.mount.mount` gives it.
        path: The file; it ends in `.keras`.

    Raises:
        ForeignLayers: The model holds layers that are not Keras' own, as those of KerasHub's
            transformers.
        UserError: The file's name ends otherwise, or the disk does not take it.
    """
    if path.suffix != ".keras":
        raise UserError(f"{path}: a mounted model's file ends in .keras")
    kinds = {type(layer) for layer in model._flatten_layers()}
    foreign = sorted(
        f"{kind.__module__.partition('.')[0]}'s {kind.__name__}"
        for kind in kinds
        if kind.__module__.partition(".")[0] != "keras"
    )
    if foreign:
        raise ForeignLayers(
            f"{path}: the backbone holds layers that Keras alone cannot read from a file "
            f"({', '.join(foreign)}); use the mounted model in Python, or write it as TensorFlow's "
            "SavedModel, which needs no layers' code, by its method `export`"
        )
    save_whole(model, path)


def save_whole(model: keras.Model, path: Path) -> None:
    """Saves any model of Keras, whole or not at all; the file ends in `.keras`.

    Raises:
        UserError: The disk does not take it.
    """
    with (
        disk_errors(path),
        whole_file(path) as part,
        # Keras wants its own suffix, and within one disk nothing is copied.
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
    ):
        archive = Path(folder) / path.name
        model.save(archive)
        archive.replace(part)

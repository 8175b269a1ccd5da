"""The file of a mounted model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import UserError
from features.files import disk_errors, whole_file

if TYPE_CHECKING:
    import keras


def save_mounted(model: keras.Model, path: Path) -> None:
    """Saves a mounted model, whole or not at all.

    `keras.saving.load_model(path)` reads it where this project is not installed; one with a preset
    of KerasHub inside wants `import keras_hub` first.

    Args:
        model: As `classifiers.mount.mount` gives it.
        path: The file; it ends in `.keras`.

    Raises:
        UserError: It ends otherwise, or the disk does not take it.
    """
    if path.suffix != ".keras":
        raise UserError(f"{path}: a mounted model's file ends in .keras")
    with (
        disk_errors(path),
        whole_file(path) as part,
        # Keras wants its own suffix, and within one disk nothing is copied.
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
    ):
        archive = Path(folder) / "mounted.keras"
        model.save(archive)
        archive.replace(part)

"""A finished run as a model from image to probabilities."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.calibration import VALIDATION
from classifiers.export.folder import DESCRIPTION, FEATURES, KERAS, Exported, describe
from classifiers.export.forms import write_form
from classifiers.mount import CannotMount, mount, mount_features, mount_tuned, save_mounted
from classifiers.mount.runs import MOUNTED, temperature_of
from classifiers.mount.save import ForeignLayers
from classifiers.projection import PROJECTION
from classifiers.store import read_json
from features.cache import FeatureFile
from features.files import disk_errors, file_digest, fingerprint

if TYPE_CHECKING:
    import keras

VOTE, TUNED = "vote", "fine_tune"


def export_run(
    directory: Path,
    features: Sequence[Path],
    *,
    weights: Sequence[Path | None],
    study: str,
    to: Path | None = None,
) -> Exported:
    """Writes `model.keras` and `model.json`.

    The model takes uint8 images of any size, (batch, height, width, 3), and gives probabilities,
    float32 (batch, classes): resize, preprocessing, backbones, views, scaler and head are in it.
    Where the head is no layers of Keras (`rbf_svm`, a user's own), the model ends in what the head
    sees, `features.keras`, and the head's files stand beside it. Of a run that no image alone can
    be given to, `model.json` says why.

    Args:
        directory: The run's folder.
        features: The features files that the run was fitted on; of a vote those of all members.
        weights: Of each of these the local weights file, where its spec names one.
        study: The study's name.
        to: The folder to write into; the run's where missing.

    Raises:
        UserError: A file is missing or damaged, the weights are others than those of the features,
            or the disk does not take the model.
    """
    folder = to or directory
    fitted = read_json(directory / "fit.json")
    (folder / DESCRIPTION).unlink(missing_ok=True)
    names: Sequence[str] = ()
    inputs: Sequence[Mapping[str, Any]] = ()
    why = temperature = None
    try:
        if fitted["type"] == TUNED:
            names, inputs = _written(_tuned(directory), folder)
        elif fitted["type"] in (*MOUNTED, VOTE):
            whole = mount(directory, features, weights=weights, image_size=None)
            names, inputs = _written(whole, folder)
        else:
            seen = mount_features(directory, features, weights=weights, image_size=None)
            save_mounted(seen, folder / FEATURES)
            names = [FEATURES, *_with_head(directory, fitted["head"], folder)]
            temperature = temperature_of(directory, fitted)
    except (CannotMount, ForeignLayers) as error:
        why = str(error)
    return describe(
        folder,
        names,
        made_of=made_of(directory),
        study=study,
        run=directory.name,
        head=fitted["type"],
        classes=fitted["classes"],
        specs=[fitted["spec"]] if fitted["type"] == TUNED else [_spec(path) for path in features],
        why=why,
        temperature=temperature,
        inputs=inputs,
    )


def made_of(directory: Path) -> str:
    """What decides an export: the run's fit, and of a vote its members'."""
    fitted = read_json(directory / "fit.json")
    members = [directory.parent / name for name in fitted.get("members", ())]
    return fingerprint({"fits": [file_digest(one / "fit.json") for one in (directory, *members)]})


def _written(model: keras.Model, folder: Path) -> tuple[Sequence[str], Sequence[Mapping[str, Any]]]:
    """Saves a whole model, for OpenVINO where Keras alone could not read it from its own file.

    Returns:
        As `classifiers.export.forms.write_form`.
    """
    try:
        save_mounted(model, folder / KERAS)
    except ForeignLayers:
        return write_form(model, folder, "openvino")
    return [KERAS], []


def _spec(features: Path) -> dict[str, Any]:
    with FeatureFile(features) as file:
        return file.spec


def _tuned(directory: Path) -> keras.Model:
    from classifiers.finetune.evaluate import load_tuned
    from classifiers.finetune.fit import MODEL
    from features.spec import specs_of

    _, backbone = specs_of(read_json(directory / "fit.json")["spec"])
    return mount_tuned(load_tuned(directory / MODEL), backbone)


def _with_head(directory: Path, head: str, folder: Path) -> list[str]:
    """The files of a head that stands apart, brought into the folder."""
    found = [
        name for name in ("fit.json", head, PROJECTION, VALIDATION) if (directory / name).is_file()
    ]
    if folder != directory:
        with disk_errors(folder):
            for name in found:
                shutil.copyfile(directory / name, folder / name)
    return found

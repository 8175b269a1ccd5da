"""What a run's directory holds: the fitted head, and what was found out about it as JSON.

Neither format of a head runs code when it is read: skops for scikit-learn's and this project's,
`.keras` for the dense one. A dense head's file is Keras' own archive with one entry more, the
estimator around the network. A user's own estimator is read only by who names it: the study says
where the class is imported from, and never the file.
"""

from __future__ import annotations

import importlib
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.projection import PROJECTION, read_projection
from classifiers.spec import Choice
from features.errors import UserError
from features.files import whole_file

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from classifiers.heads.dense import DenseClassifier

OWN = "classifiers.heads"
"""Whose types are trusted beyond those of scikit-learn and numpy, which skops trusts by itself."""

ESTIMATOR = "estimator.json"
FITTED = ("history_", "epochs_", "status_")
"""What a dense head found out in its fit, beside the network."""


def save_head(head: BaseEstimator, directory: Path) -> Path:
    """Saves a fitted head as `head.skops` or `head.keras`, in place of one that stood there.

    What the features go through before it, if anything, is saved beside it, as `projection.npz`.

    Returns:
        The head's file.

    Raises:
        UserError: A user's own estimator holds what no file without code can hold.
    """
    from classifiers.heads.dense import DenseClassifier
    from classifiers.prepared import PreparedHead

    projection = None
    if isinstance(head, PreparedHead):
        head, projection = head.head, head.projection_
    if projection:
        projection.save(directory)
    else:
        (directory / PROJECTION).unlink(missing_ok=True)
    if isinstance(head, DenseClassifier):
        path = directory / "head.keras"
        with whole_file(path) as part:
            _dump_dense(head, part)
    else:
        path = directory / "head.skops"
        with whole_file(path) as part:
            _dump_skops(head, part)
    for other in {directory / "head.keras", directory / "head.skops"} - {path}:
        other.unlink(missing_ok=True)
    return path


def load_run(
    directory: Path, fitted: Mapping[str, Any], *, estimator: str | None = None
) -> tuple[BaseEstimator, int]:
    """Reads the head of a run, with what the features go through before it.

    Args:
        directory: The run's directory.
        fitted: Its fit.json.
        estimator: As for `load_head`.

    Returns:
        An estimator that takes what `classifiers.data.Features.matrix` gives, and the bytes that it
        takes on disk.

    Raises:
        UserError: As `load_head`.
    """
    from classifiers.prepared import PreparedHead

    path, choice = directory / fitted["head"], Choice.of(fitted)
    head, size = load_head(path, estimator=estimator), path.stat().st_size
    if choice.view != "rows" and not choice.projects:
        return head, size
    whole = PreparedHead(head, choice)
    whole.projection_ = None
    if choice.projects:
        whole.projection_ = read_projection(directory)
        size += (directory / PROJECTION).stat().st_size
    return whole, size


def load_head(path: Path, *, estimator: str | None = None) -> BaseEstimator:
    """Reads a fitted head without running code from its file.

    Args:
        path: The head's file.
        estimator: Where the user's own estimator is imported from, as the study says it: classes
            of its package may stand in the file, and no other's. None: there is none.

    Returns:
        An estimator with `predict`, and `predict_proba` or `decision_function`.

    Raises:
        UserError: There is no such file, it is truncated, or it holds anything but a head.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such head; build it with snakemake")
    if path.suffix not in (".skops", ".keras"):
        raise UserError(f"{path}: no head; a head's file ends in .skops or .keras")
    try:
        return _load_dense(path) if path.suffix == ".keras" else _load_skops(path, estimator)
    except UserError:
        raise
    # The two libraries raise whatever the damage leads to: bad zip, key, type, value, assertion.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(
            f"{path}: not a whole head of this project ({reason}); delete it and run again"
        ) from error


def _dump_skops(head: BaseEstimator, path: Path) -> None:
    from skops.io import dump, get_untrusted_types

    from classifiers.heads.custom import CustomClassifier

    if not isinstance(head, CustomClassifier):
        dump(head, path)
        return
    # skops raises whatever the user's attributes lead to.
    try:
        dump(head, path)
        unknown = set(get_untrusted_types(file=path)) - set(_trusted(path, head.estimator))
    except Exception as error:
        raise UserError(f"estimator {head.estimator} cannot be saved: {error}") from error
    if unknown:
        raise UserError(
            f"estimator {head.estimator} cannot be saved: it holds {', '.join(sorted(unknown))}; "
            "keep numbers, text, arrays, scikit-learn's estimators and classes of its own package"
        )


def _load_skops(path: Path, estimator: str | None) -> BaseEstimator:
    from sklearn.base import BaseEstimator, is_classifier
    from skops.io import load

    from classifiers.heads.custom import CustomClassifier

    head = load(path, trusted=_trusted(path, estimator))
    if not isinstance(head, BaseEstimator) or not is_classifier(head):
        raise TypeError(f"it holds a {type(head).__name__}")
    if isinstance(head, CustomClassifier) and head.estimator != estimator:
        raise TypeError(f"it holds the estimator {head.estimator}, not {estimator}")
    return head


def _trusted(path: Path, estimator: str | None) -> list[str]:
    """Those of a file's types that are classes of this project's heads or the user's package.

    Classes alone: a function of the package would be one that the file may call.
    """
    from skops.io import get_untrusted_types

    from classifiers.heads.custom import find_class

    packages = [OWN]
    if estimator is not None:
        packages.append(find_class(estimator).__module__.partition(".")[0])
    return [name for name in get_untrusted_types(file=path) if _is_class(name, packages)]


def _is_class(name: str, packages: Sequence[str]) -> bool:
    """Whether a dotted name is that of a class that one of the packages defines."""
    module, _, kind = name.rpartition(".")
    if not any(f"{module}.".startswith(f"{package}.") for package in packages):
        return False
    found = getattr(importlib.import_module(module), kind, None)
    return isinstance(found, type) and found.__module__ == module


def _dump_dense(head: DenseClassifier, path: Path) -> None:
    """Keras wants its own suffix, so the archive is written elsewhere first."""
    fields = {
        "settings": head.get_params(),
        "classes": head.classes_.tolist(),
        "fitted": {name: getattr(head, name) for name in FITTED},
    }
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "head.keras"
        head.model_.save(archive)
        with zipfile.ZipFile(archive, "a") as entries:
            entries.writestr(ESTIMATOR, json.dumps(fields))
        path.write_bytes(archive.read_bytes())


def _load_dense(path: Path) -> DenseClassifier:
    import keras
    import numpy as np

    from classifiers.heads.dense import DenseClassifier

    with zipfile.ZipFile(path) as entries:
        fields = json.loads(entries.read(ESTIMATOR))
    head = DenseClassifier(**fields["settings"])
    head.classes_ = np.array(fields["classes"])
    head.model_ = keras.saving.load_model(path, compile=False, safe_mode=True)
    head.n_features_in_ = head.model_.input_shape[1]
    for name in FITTED:
        setattr(head, name, fields["fitted"][name])
    return head


def write_json(path: Path, fields: Mapping[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file that this package wrote.

    Raises:
        UserError: There is no such file, or it is no JSON.
    """
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read; build it with snakemake") from error
    except ValueError as error:
        raise UserError(f"{path}: damaged; delete it and run again") from error
    return fields

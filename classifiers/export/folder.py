"""What stands in an exported folder: model.json, written last, and the files that it names.

Reading it loads no library beyond numpy, so that a prediction can start at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from classifiers.store import read_json, write_json
from features.environment import versions
from features.errors import UserError
from features.files import file_digest

FORMAT = 1
DESCRIPTION = "model.json"
KERAS = "model.keras"
FEATURES = "features.keras"
OPENVINO = "openvino/model.xml"
OPENVINO_WEIGHTS = "openvino/model.bin"

FORMS = {
    "openvino": (OPENVINO, OPENVINO_WEIGHTS),
    "onnx": ("model.onnx",),
    "tflite": ("model.tflite",),
}
"""The files of each further form."""


@dataclass(frozen=True)
class Exported:
    """An exported run.

    Attributes:
        made_of: What decided it: `classifiers.export.run.made_of`.
        study: The study's name.
        run: The run's name.
        head: The type of its head.
        classes: The names of the classes, in the order of the probabilities.
        files: The sha256 of each file, by its name in the folder.
        why: Why there is no model, where there is none.
        temperature: Where the head stands apart and gives decision values, what makes probabilities
            of them.
        dataset: What it was trained on, as `features.datasets.DatasetSpec`.
        backbones: What it sees images through, each as `features.backbones.spec.BackboneSpec`.
        versions: Of what it was written with.
        inputs: Of each input of the form for OpenVINO the view, and how images are resized for it.
        format: Of this description.
    """

    made_of: str
    study: str
    run: str
    head: str
    classes: list[str]
    files: dict[str, str]
    why: str | None
    temperature: float | None
    dataset: dict[str, Any]
    backbones: list[dict[str, Any]]
    versions: dict[str, str]
    inputs: list[dict[str, Any]] = field(default_factory=list)
    format: int = FORMAT

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self.files


def describe(
    folder: Path,
    names: Iterable[str],
    *,
    made_of: str,
    study: str,
    run: str,
    head: str,
    classes: list[str],
    specs: Sequence[Mapping[str, Any]],
    why: str | None = None,
    temperature: float | None = None,
    inputs: Sequence[Mapping[str, Any]] = (),
) -> Exported:
    """Writes model.json, with the checksums of the files as they are now.

    Args:
        folder: Where it stands.
        names: The files.
        made_of: What decided it.
        study: The study's name.
        run: The run's name.
        head: The type of its head.
        classes: The names of the classes.
        specs: Of the features, one a backbone.
        why: Why there is no model.
        temperature: As in `Exported`.
        inputs: As in `Exported`.
    """
    found = Exported(
        made_of=made_of,
        study=study,
        run=run,
        head=head,
        classes=classes,
        files={name: file_digest(folder / name) for name in names},
        why=why,
        temperature=temperature,
        dataset=dict(specs[0]["dataset"]),
        backbones=[dict(spec["backbone"]) for spec in specs],
        versions=versions(),
        inputs=[dict(one) for one in inputs],
    )
    write_json(folder / DESCRIPTION, asdict(found))
    return found


def add_files(
    folder: Path,
    exported: Exported,
    names: Iterable[str],
    inputs: Sequence[Mapping[str, Any]] = (),
) -> Exported:
    """Writes model.json anew, with further files, and of the form for OpenVINO its inputs."""
    fields = asdict(exported)
    fields["files"] |= {name: file_digest(folder / name) for name in names}
    fields["inputs"] = [dict(one) for one in inputs] or fields["inputs"]
    write_json(folder / DESCRIPTION, fields)
    return Exported(**fields)


def read_exported(path: Path) -> tuple[Path, Exported]:
    """Reads the description of an exported run.

    Args:
        path: Its folder, or a file in it.

    Returns:
        The folder, and what stands in it; its files are not looked at yet.

    Raises:
        UserError: There is none, it is damaged, or another version of the project wrote it.
    """
    folder = path if path.is_dir() else path.parent
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if not (folder / DESCRIPTION).is_file():
        raise UserError(
            f"{folder}: no {DESCRIPTION}, so no exported model; give results/<study>/best or "
            "results/<study>/runs/<run> of a study that was run to its end, or run it again"
        )
    fields = read_json(folder / DESCRIPTION)
    if fields.get("format") != FORMAT:
        raise UserError(
            f"{folder / DESCRIPTION}: of format {fields.get('format')}, and this version of "
            f"Headstart reads format {FORMAT}; export the run with this version, or use "
            f"{_version_of(fields)}"
        )
    try:
        return folder, Exported(**fields)
    except TypeError as error:
        raise UserError(f"{folder / DESCRIPTION}: damaged; export the run anew") from error


def check_files(folder: Path, exported: Exported, names: Iterable[str]) -> None:
    """Compares files with their checksums.

    Raises:
        UserError: One is missing, or not as it was written.
    """
    for name in names:
        path = folder / name
        if not path.is_file():
            raise UserError(
                f"{path}: missing, though {DESCRIPTION} names it; run the study again, which "
                "exports it anew"
            )
        if file_digest(path) != exported.files[name]:
            raise UserError(
                f"{path}: not as Headstart wrote it (its sha256 is another); it was changed or "
                "damaged. Run the study again, or copy the folder anew from where it was made"
            )


def _version_of(fields: Mapping[str, Any]) -> str:
    found = fields.get("versions")
    number = found.get("headstart") if isinstance(found, dict) else None
    return f"version {number}" if number else "the version that wrote it"

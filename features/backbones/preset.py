"""A KerasHub preset in a folder: what it is, read without KerasHub."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.datasets.memo import remembered_hash
from features.errors import UserError

BACKBONE, CONVERTER = "config.json", "image_converter.json"


@dataclass(frozen=True)
class Preset:
    """What a preset wants done to images before its own scaling of the pixels.

    Attributes:
        size: Height and width to come to.
        built_for: Height and width that its backbone takes; None where it takes any.
        resize: "stretch", "crop" or "pad", as in a study.
        interpolation: A method of `keras.layers.Resizing`.
        antialias: Whether what is made smaller is smoothed first.
        scale: What pixels 0 to 255 are multiplied by, one number or one a channel.
        offset: What is added then, likewise.
    """

    size: tuple[int, int]
    built_for: tuple[int, int] | None
    resize: str
    interpolation: str
    antialias: bool
    scale: float | list[float]
    offset: float | list[float]


def is_preset(folder: Path) -> bool:
    """Whether a folder holds a KerasHub preset."""
    return (folder / BACKBONE).is_file()


def read_preset(folder: Path) -> Preset:
    """Reads how a preset wants its images.

    Args:
        folder: As `headstart preset` or KerasHub's `save_to_preset` writes it.

    Raises:
        UserError: The folder holds no preset of an image backbone.
    """
    converter = _config(folder / CONVERTER)
    backbone = _config(folder / BACKBONE)
    vision = backbone.get("vision_encoder", {}).get("config", backbone)
    built_for = _size((vision.get("image_shape") or [])[:2])
    size = _size(converter.get("image_size")) or built_for
    if size is None:
        raise UserError(f"{folder}: neither {CONVERTER} nor {BACKBONE} says how large images are")
    return Preset(
        size=size,
        built_for=built_for,
        resize=(
            "crop"
            if converter.get("crop_to_aspect_ratio", True)
            else "pad"
            if converter.get("pad_to_aspect_ratio")
            else "stretch"
        ),
        interpolation=converter.get("interpolation", "bilinear"),
        antialias=bool(converter.get("antialias")),
        scale=1.0 if converter.get("scale") is None else converter["scale"],
        offset=0.0 if converter.get("offset") is None else converter["offset"],
    )


def preset_digest(folder: Path, memo: Path) -> str:
    """The sha256 of what decides a preset's features: its backbone, weights and converter.

    Args:
        folder: The preset.
        memo: Where hashes are remembered.
    """
    files = sorted(
        path
        for path in folder.iterdir()
        if path.name in (BACKBONE, CONVERTER) or path.name.startswith("model")
    )
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0{remembered_hash(path, memo)}\n".encode())
    return digest.hexdigest()


def _size(sides: Any) -> tuple[int, int] | None:
    if isinstance(sides, list) and len(sides) == 2 and all(isinstance(s, int) for s in sides):
        return sides[0], sides[1]
    return None


def _config(file: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(file.read_text())["config"]
    except FileNotFoundError as error:
        raise UserError(
            f"{file.parent}: no {file.name} in this preset; `headstart preset NAME FOLDER` fetches "
            "one with all that is needed"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: not as KerasHub writes it ({error!r})") from error
    return config

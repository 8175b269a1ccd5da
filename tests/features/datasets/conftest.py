"""Small image folders, made by Pillow."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from features.datasets import DatasetSpec, identify

# No test is timed: the machine may be busy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

MakeFolder = Callable[..., Path]


def _pixels(name: str, height: int, width: int) -> np.ndarray:
    """Pixels that differ from file to file."""
    return np.random.default_rng(zlib.crc32(name.encode())).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Gives a function that writes so many PNG images in each of the folders named."""

    def make(
        counts: Mapping[str, int], name: str = "images", size: tuple[int, int] = (6, 9)
    ) -> Path:
        root = tmp_path / name
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                file = f"{folder}/{number:03d}.png"
                Image.fromarray(_pixels(file, *size)).save(root / file)
        return root

    return make


@pytest.fixture
def spec_of(tmp_path: Path) -> Callable[..., DatasetSpec]:
    """Gives a function that identifies data and makes its spec."""

    def spec(source: str, path: Path | None, **fields: object) -> DatasetSpec:
        memo = tmp_path / "memo.json"
        content = identify(source, path, memo, only_test=fields.get("test") == 1.0)
        return DatasetSpec(source, content, **({"test": 0.25, "seed": 0} | fields))  # type: ignore[arg-type]

    return spec

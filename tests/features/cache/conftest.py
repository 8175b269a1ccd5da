"""A small features file of two splits, views and layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.cache import BLOCK, write_features
from features.files import fingerprint

SPEC: dict[str, Any] = {
    "dataset": {"source": "made"},
    "backbone": {"views": ["identity", "mirror"], "spatial": []},
    "extractor": 1,
}

Write = Callable[..., Path]


def write_file(
    folder: Path,
    images: int = 2 * BLOCK + 5,
    spec: dict[str, Any] = SPEC,
    seed: int = 0,
    dtype: str = "float16",
) -> Path:
    path = folder / f"made-{fingerprint(spec)[:8]}.h5"
    rng = np.random.default_rng(seed)
    arrays = {
        (view, layer): rng.normal(size=(images, *shape))
        for view in spec["backbone"]["views"]
        for layer, shape in (("early", (3,)), ("late", (7,)), ("spatial/late", (2, 2, 7)))
    }
    write_features(
        path,
        splits={
            split: (np.arange(images) % 3, [f"{split}/é{i}.jpg" for i in range(images)], arrays)
            for split in ("train", "test")
        },
        classes=["ä", "b", "c"],
        views=spec["backbone"]["views"],
        spec=spec,
        record={"seconds": {"total": 1.5}},
        facts={"backbone": {"parameters": 3}},
        dtype=dtype,
    )
    return path


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a features file into the test's folder."""

    def into_folder(**options: Any) -> Path:
        return write_file(tmp_path, **options)

    return into_folder

"""Features of made images, small enough to fit a head in a blink."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from features.cache import write_features
from features.files import fingerprint

CLASSES = ["ant", "bee", "cow"]
WIDTHS = {"early": 4, "late": 6}

Arrays = dict[tuple[str, str], np.ndarray]
WriteFeatures = Callable[..., Path]


def made(labels: np.ndarray, classes: int, noise: float, seed: int) -> Arrays:
    """Clusters, one a class, the same in every split; the views differ in their noise."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for layer, width in WIDTHS.items():
        centres = np.random.default_rng(width).normal(0, 3, (classes, width))
        for view in ("identity", "mirror"):
            arrays[view, layer] = centres[labels] + rng.normal(0, noise, (len(labels), width))
    return arrays


@pytest.fixture
def write(tmp_path: Path) -> WriteFeatures:
    """Writes a features file: `write(train=labels, test=labels, ...)` gives its path."""

    def write_file(
        *,
        classes: list[str] = CLASSES,
        noise: float = 0.5,
        replaced: Mapping[str, Arrays] | None = None,
        source: str = "made",
        **labels: np.ndarray,
    ) -> Path:
        spec = {"dataset": {"source": source}, "noise": noise}
        path = tmp_path / "features" / f"made-{fingerprint(spec)[:8]}.h5"
        splits = {
            split: (
                values,
                [f"{split}/{index}.png" for index in range(len(values))],
                (replaced or {}).get(split) or made(values, len(classes), noise, seed),
            )
            for seed, (split, values) in enumerate(labels.items())
        }
        write_features(
            path,
            splits=splits,
            classes=classes,
            views=["identity", "mirror"],
            spec=spec,
            record={"seconds": {"read": 0.5, "compute": 1.0, "write": 0.5, "total": 2.0}},
        )
        return path

    return write_file


@pytest.fixture
def features_path(write: WriteFeatures) -> Path:
    """Three classes of 30 training and 10 test images each."""
    return write(train=np.arange(90) % 3, test=np.arange(30) % 3)

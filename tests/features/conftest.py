"""Small real passes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.backbones.spec import BackboneSpec
from features.datasets import DatasetSpec, identify, prepare
from features.extract import extract
from features.files import fingerprint
from features.spec import feature_spec

BACKBONE = BackboneSpec(
    architecture="Embedded",
    alpha=1.0,
    size=(32, 32),
    resize="stretch",
    interpolation="bilinear",
    preprocessing="tf",
    weights="embedded",
    views=("identity", "mirror"),
    precision="exact",
)

Run = Callable[..., Path]


def run_pass(
    folder: Path,
    graphs: Path,
    path: Path,
    backbone: BackboneSpec = BACKBONE,
    *,
    parts: tuple[int, int] = (0, 1),
    test: float = 0.2,
    **how: Any,
) -> Path:
    """Runs images through a backbone; gives the features file, or that of the part."""
    source = "npz" if path.suffix == ".npz" else "folder"
    content = identify(source, path, folder / "memo.json", only_test=test == 1.0)
    dataset = DatasetSpec(source=source, content=content, test=test, seed=0)
    dataset_file = folder / f"{source}-{content[:8]}.h5"
    prepare(dataset, path, dataset_file)
    spec = feature_spec(dataset, backbone)
    output = folder / "out" / f"{backbone.architecture}-{fingerprint(spec)[:8]}.h5"
    if parts[1] > 1:
        from features.cache.join import part_file

        output = part_file(output, *parts)
    extract(dataset_file, path, spec, None, output, graphs, part=parts, **how)
    return output


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted graphs, each made once."""
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture
def run(tmp_path: Path, graphs: Path) -> Run:
    """`run(path, backbone)` gives a features file in the test's folder."""

    def run_here(path: Path, backbone: BackboneSpec = BACKBONE, **how: Any) -> Path:
        return run_pass(tmp_path, graphs, path, backbone, **how)

    return run_here


@pytest.fixture
def anew(tmp_path: Path) -> Callable[[], None]:
    """Forgets every features file of the test."""
    return lambda: shutil.rmtree(tmp_path / "out")


def write_arrays(folder: Path, train: int = 30, side: int = 12) -> tuple[Path, np.ndarray]:
    """Random images as an .npz file; and those of its train split."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (train + 10, side, side, 3), dtype=np.uint8)
    labels = np.arange(train + 10) % 2
    path = folder / f"images{train}.npz"
    np.savez(
        path,
        x_train=images[:train],
        y_train=labels[:train],
        x_test=images[train:],
        y_test=labels[train:],
    )
    return path, images[:train]

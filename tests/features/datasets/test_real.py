"""The real CIFAR-10 as JPEG files, where it is at hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from features.datasets import DatasetSpec, open_images, prepare

DATA = os.environ.get("HEADSTART_REAL_DATA")


@pytest.mark.skipif(not DATA, reason="HEADSTART_REAL_DATA names no folder with the real data")
def test_the_real_archive_of_jpeg_files(
    spec_of: Callable[..., DatasetSpec], tmp_path: Path
) -> None:
    archive = Path(DATA or "") / "cifar10-jpeg.tar.gz"
    prepare(spec_of("folder", archive), archive, tmp_path / "cifar.h5")
    with open_images(tmp_path / "cifar.h5", archive) as images:
        assert images.classes[0] == "airplane"
        assert images.broken == []
        assert np.bincount(images.labels("train")).tolist() == [5000] * 10
        assert np.bincount(images.labels("test")).tolist() == [1000] * 10
        block = np.asarray(images.read("test", 0, 1000))
        assert block.shape == (1000, 32, 32, 3)
        # Aeroplanes stand in the sky: blue outweighs red.
        assert block[..., 2].mean() > block[..., 0].mean()

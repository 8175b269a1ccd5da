"""The features of CIFAR-10 by MobileNetV2 0.35 at 96, by one pass, kept in the temporary folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from features.backbones.spec import BackboneSpec
from features.datasets import DatasetSpec, identify, prepare
from features.datasets.hashing import hash_large_file
from features.extract import extract
from features.files import fingerprint
from features.spec import feature_spec


def real_features() -> Path | None:
    """The features file of the images and weights that HEADSTART_REAL_DATA names; None without."""
    data = os.environ.get("HEADSTART_REAL_DATA")
    if not data:
        return None
    images = Path(data) / "cifar10-jpeg.tar.gz"
    weights = Path(data) / "mobilenet_v2_0.35_224_no_top.weights.h5"
    folder = Path(tempfile.gettempdir()) / "headstart-benchmark-features"
    folder.mkdir(exist_ok=True)
    memo = folder / "memo.json"
    dataset = DatasetSpec("folder", identify("folder", images, memo), test=0.2, seed=0)
    backbone = BackboneSpec(
        architecture="MobileNetV2",
        alpha=0.35,
        size=(96, 96),
        resize="stretch",
        interpolation="bilinear",
        preprocessing="tf",
        weights=hash_large_file(weights),
        views=("identity", "mirror"),
    )
    spec = feature_spec(dataset, backbone)
    output = folder / f"mobilenet-{fingerprint(spec)[:8]}.h5"
    if not output.exists():
        prepare(dataset, images, folder / "images.h5")
        extract(folder / "images.h5", images, spec, weights, output, folder / "graphs")
    return output

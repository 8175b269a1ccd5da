"""Seconds of an epoch from the boundary's cache, against one on the live network.

The three published pipelines that freeze a part of their backbone, with their tops and batches:
both sides are the same call of `classifiers.finetune.fit.fine_tune`, once with room on the disk for
the boundary and once without. The first epoch of each, in which graphs are traced, is left out.
Beside what was measured stands what counting operations promises. Images and weights are made up,
which changes no seconds; the pass itself is in `pass.py`.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from contestants import spec_of
from table import Row, arguments, compare, show

from classifiers.finetune.fit import fine_tune
from classifiers.finetune.settings import DEFAULTS
from classifiers.store import read_json
from features.datasets import DatasetSpec, identify, prepare
from features.spec import feature_spec

EPOCHS = 3
CLASSES = 10

DEEP = [
    "batch_normalization",
    *({"dense": 256}, {"dropout": 0.5}, "batch_normalization"),
    *({"dense": 128}, {"dropout": 0.5}, "batch_normalization"),
    *({"dense": 64}, {"dropout": 0.5}, "batch_normalization"),
]
LARGE = [{"dense": 4096}, {"dense": 1072}, {"dropout": 0.2}]


@dataclass(frozen=True)
class Case:
    """A backbone, the part of it that trains, and the top.

    Attributes:
        architecture: The backbone.
        side: Of its images, in pixels.
        unfreeze: What trains of it.
        settings: Of the rest of the fine-tuning.
        images: How many, so that an epoch takes some seconds.
    """

    architecture: str
    side: int
    unfreeze: Any
    settings: dict[str, Any]
    images: int


CASES = (
    Case(
        "ResNet50",
        64,
        {"from": 143},
        {"stack": DEEP, "layers": ["spatial/last"], "optimizer": "rmsprop", "batch_size": 512},
        2048,
    ),
    Case("InceptionResNetV2", 299, {"from": 633}, {"stack": [{"dense": 500}]}, 64),
    Case("VGG16", 224, {"last": 2}, {"stack": LARGE, "layers": ["spatial/last"]}, 64),
)


def measure(case: Case, images: int, repeats: int) -> Row:
    """Both sides in turn."""
    spec = spec_of({"architecture": case.architecture, "alpha": 1.0, "size": case.side})
    rng = np.random.default_rng(0)
    cached: list[float] = []
    live: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # A quarter more, of which the validation images are drawn.
        labels = np.arange(images * 5 // 4) % CLASSES
        pixels = rng.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
        file = folder / "images.npz"
        np.savez(file, x_train=pixels, y_train=labels, x_test=pixels[:10], y_test=labels[:10])
        dataset = DatasetSpec("npz", identify("npz", file, folder / "memo.json"), test=0.2, seed=0)
        prepare(dataset, file, folder / "data.h5")
        fields = feature_spec(dataset, spec)
        settings = DEFAULTS | case.settings | {"unfreeze": case.unfreeze, "epochs": EPOCHS}
        for _ in range(repeats):
            for seconds, disk in ((cached, 1e12), (live, 1.0)):
                directory = folder / "run"
                fine_tune(
                    folder / "data.h5",
                    None,
                    fields,
                    None,
                    folder / "backbone-00000000.h5",
                    directory,
                    settings,
                    graphs=folder / "graphs",
                    validation=0.2,
                    seed=0,
                    disk=disk,
                )
                fitted = read_json(directory / "fit.json")
                assert fitted["boundary"]["cached"] == (disk > 1)
                seconds += [epoch["seconds"] for epoch in fitted["epochs"][1:]]
        promised = fitted["boundary"]["speedup_by_count"]
    measured = compare(
        f"an epoch of {images:,} images, {case.architecture} @{case.side}, {_said(case.unfreeze)}",
        cached,
        "the live network",
        live,
    )
    share = measured.ratio / promised
    return replace(measured, case=f"{measured.case}; {promised:.2f} by count, of which {share:.0%}")


def _said(unfreeze: dict[str, int]) -> str:
    ((how, value),) = unfreeze.items()
    return f"layers[{value}:]" if how == "from" else f"last {value} layers"


def main() -> None:
    """Measures and shows."""
    options = arguments(str(__doc__).splitlines()[0])
    rows = []
    for case in CASES[:1] if options.quick else CASES:
        images = min(case.images, 512) if options.quick else case.images
        rows.append(measure(case, images, 1 if options.quick else 3))
    show(rows, options.json)


if __name__ == "__main__":
    main()

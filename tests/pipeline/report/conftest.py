"""A study as the workflow leaves it on disk: features files, metrics and predictions."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.finetune.settings import DEFAULTS
from classifiers.significance import compare_runs
from classifiers.suspects import COLUMNS
from features.cache import write_features
from features.datasets import DatasetSpec, identify, open_images, prepare
from features.files import fingerprint
from pipeline.report.build import build_report
from pipeline.report.evidence import Evidence

CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
STUDY_TEXT = """\
# How far do frozen features go?
dataset: {source: cifar10}
backbones:
  - {name: mobilenet, architecture: MobileNetV2, alpha: 0.35, size: 96}
heads:
  - {name: logistic, type: logistic, settings: {C: [0.01, 0.1, 1]}}
"""


@dataclass(frozen=True)
class Study:
    """The files of a study and what its metrics hold."""

    file: Path
    metrics: list[Path]
    features: list[Path]

    def runs(self) -> dict[str, dict[str, Any]]:
        """The metrics by run."""
        found = [json.loads(path.read_text()) for path in self.metrics]
        return {run["run"]: run for run in found}

    def report(self, output: Path, evidence: Evidence | None = None) -> str:
        """Builds the report and gives its text."""
        build_report(self.file.stem, self.file, self.metrics, self.features, output, evidence)
        return output.read_text(encoding="utf-8")


@dataclass(frozen=True)
class Training:
    """How a run was trained further, or from nothing where it has a network.

    Attributes:
        start: The run whose head it starts from.
        unfreeze: What trains.
        network: The layers of a network of its own.
        losses: Of each epoch, training and validation.
        kept: The epoch that is kept.
        pays: After so many epochs the boundary's cache has paid; none is kept where missing.
        weights: The backbone's.
    """

    start: str | None = None
    unfreeze: Any = "all"
    network: Sequence[Any] | None = None
    losses: Sequence[tuple[float, float]] = ((0.9, 0.8), (0.5, 0.6), (0.4, 0.7))
    kept: int = 2
    pays: int | None = None
    weights: str = "imagenet"


BOUNDARY_SECONDS = 30.0


@dataclass(frozen=True)
class Result:
    """What one run reached."""

    backbone: str
    head: str
    validation: float
    test: float
    fit: float = 3.2
    seed: int = 0
    probabilities: bool = True
    warnings: tuple[str, ...] = ()
    layers: str = "last"
    view: str = "identity"
    peak: int | None = None
    temperature: float | None = None
    training: Training | None = None


def pass_seconds(backbone: str) -> float:
    """What the pass of a backbone took."""
    return {"embedded": 21.4, "mobilenet96": 126.0}.get(backbone, 641.3)


def wilson(right: int, images: int) -> tuple[float, float]:
    """The 95 % Wilson interval."""
    z, share = 1.959964, right / images
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * (share * (1 - share) / images + z**2 / (4 * images**2)) ** 0.5
    return middle - half, middle + half


def around(name: str, figure: float | None) -> dict[str, float | None]:
    """A figure with an interval of 0.01 to either side."""
    low, high = (None, None) if figure is None else (figure - 0.01, figure + 0.01)
    return {name: figure, f"{name}_low": low, f"{name}_high": high}


def reliability(gap: float) -> list[dict[str, Any]]:
    """A curve that lies so far below the diagonal."""
    return [
        {
            "images": 100 + 40 * place,
            "confidence": (place + 0.5) / 15,
            "accuracy": max((place + 0.5) / 15 - gap, 0),
            "low": max((place + 0.5) / 15 - gap - 0.05, 0),
            "high": min((place + 0.5) / 15 - gap + 0.05, 1),
        }
        for place in range(3, 15)
    ]


def predict(labels: np.ndarray, classes: int, accuracy: float) -> np.ndarray:
    """Predictions with about that accuracy, wrong mostly for a neighbouring class.

    Images have a difficulty of their own, so that two runs fail on the same ones.
    """
    difficulty = np.random.default_rng(7).random(len(labels))
    noise = np.random.default_rng(int(accuracy * 1e6)).normal(0, 0.05, len(labels))
    wrong = difficulty + noise > accuracy
    step = np.random.default_rng(8).choice([1, 2, classes - 1], len(labels), p=[0.6, 0.25, 0.15])
    return np.where(wrong, (labels + step) % classes, labels)


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Study]:
    """A function that writes a study's files; see `make`."""

    def make(
        results: Sequence[dict[str, Any]],
        classes: Sequence[str] = CIFAR10,
        images: int = 2000,
        name: str = "cifar10",
        text: str = STUDY_TEXT,
        broken: Sequence[dict[str, str]] = (),
        predictions: bool = True,
    ) -> Study:
        file = tmp_path / f"{name}.yaml"
        file.write_text(text, encoding="utf-8")
        labels = np.arange(images) % len(classes)
        metrics = []
        reached = [Result(**result) for result in results]
        for result in reached:
            directory = tmp_path / name / "runs" / f"{result.backbone}.{result.head}.{result.seed}"
            directory.mkdir(parents=True)
            predicted = predict(labels, len(classes), result.test)
            metrics.append(directory / "metrics.json")
            found = _metrics(result, classes, labels, predicted)
            if result.training:
                found |= _of_training(result, result.training)
                fitted = _fit(result.training, found["settings"])
                (directory / "fit.json").write_text(json.dumps(fitted))
            metrics[-1].write_text(json.dumps(found))
            if predictions:
                np.savez(
                    directory / "predictions.npz",
                    ids=np.arange(images).astype(str),
                    labels=labels,
                    predicted=predicted,
                )
        backbones = dict.fromkeys(
            result.backbone
            for result in reached
            if not (result.training and result.training.network)
        )
        caches = [
            _features(tmp_path / name, backbone, place, classes, images, broken)
            for place, backbone in enumerate(backbones)
        ]
        return Study(file, metrics, caches)

    return make


def _metrics(
    result: Result, classes: Sequence[str], labels: np.ndarray, predicted: np.ndarray
) -> dict[str, Any]:
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (labels, predicted), 1)
    right = np.diag(confusion)
    recall = right / np.maximum(confusion.sum(1), 1)
    precision = right / np.maximum(confusion.sum(0), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    low, high = wilson(int(right.sum()), len(labels))
    return {
        "run": f"{result.backbone}.{result.head}.{result.seed}",
        "backbone": result.backbone,
        "head": result.head,
        "type": result.head.partition("-")[0],
        "seed": result.seed,
        "layers": result.layers,
        "view": result.view,
        "root": False,
        "pca": None,
        "whiten": False,
        "dimensions": 1280 if result.layers == "last" else 2144,
        "settings": {"C": 0.01} if "logistic" in result.head else {},
        "classes": list(classes),
        "validation": {"accuracy": result.validation, "images": 5000},
        "test": {
            "images": len(labels),
            "accuracy": right.sum() / len(labels),
            "low": low,
            "high": high,
            **around("top5_accuracy", 0.98 if len(classes) > 5 else None),
            **around("macro_f1", f1.mean()),
            **around("log_loss", 0.702 if result.probabilities else None),
            **around("calibration_error", 0.021 if result.probabilities else None),
        },
        "reliability": reliability(0.04) if result.probabilities else None,
        "calibration": None
        if result.temperature is None
        else {
            "temperature": result.temperature,
            "validation_images": 5000,
            **around("log_loss", 0.651),
            **around("calibration_error", 0.009),
            "reliability": reliability(0.0),
        },
        "per_class": [
            {
                "class": name,
                **around("precision", precision[i]),
                **around("recall", recall[i]),
                **around("f1", f1[i]),
                "support": int(confusion[i].sum()),
            }
            for i, name in enumerate(classes)
        ],
        "confusion": confusion.tolist(),
        "seconds": {
            "pass": pass_seconds(result.backbone),
            "search": result.fit * 4,
            "fit": result.fit,
            "predict": 0.12,
        },
        "passes": {result.backbone: pass_seconds(result.backbone)},
        "head_bytes": 51_234,
        "peak_memory_bytes": result.peak,
        "warnings": list(result.warnings),
    }


def _of_training(result: Result, training: Training) -> dict[str, Any]:
    """What the metrics of a training hold in place of a head's."""
    own = {} if training.start is None else {result.backbone: pass_seconds(result.backbone)}
    passes = own | ({} if training.pays is None else {"boundary-1a2b": BOUNDARY_SECONDS})
    search = 4.0 if training.start else 0
    return {
        "type": "fine_tune",
        "dimensions": 0,
        "settings": DEFAULTS | {"unfreeze": training.unfreeze, "augmentation": {"shift": 0.1}},
        "passes": passes,
        "seconds": {"pass": sum(passes.values()), "search": search, "fit": 12.0, "predict": 0.5},
    }


def _fit(training: Training, settings: dict[str, Any]) -> dict[str, Any]:
    """The fit.json of a training, as far as the report reads it."""
    cached = training.pays is not None
    return {
        "type": "fine_tune",
        "settings": settings,
        "network": training.network,
        "spec": {"backbone": {"size": [96, 96], "weights": training.weights}},
        "status": "finished",
        "start": training.start,
        "epochs": [
            {
                "loss": loss,
                "accuracy": 1 - loss / 2,
                "val_loss": held,
                "val_accuracy": 1 - held / 2,
                "learning_rate": 1e-4,
                "seconds": 4.0,
            }
            for loss, held in training.losses
        ],
        "began": {"val_loss": 0.66, "val_accuracy": 0.67} if training.start else {},
        "best_epoch": training.kept,
        "boundary": {
            "cached": cached,
            "why": "what is frozen is computed once" if cached else "images are drawn anew",
            "pass": {"boundary-1a2b": BOUNDARY_SECONDS} if cached else {},
            **({"epochs_to_pay": training.pays} if cached else {}),
        },
    }


def _features(
    folder: Path,
    backbone: str,
    place: int,
    classes: Sequence[str],
    images: int,
    broken: Sequence[dict[str, str]],
) -> Path:
    spec = {
        "dataset": {"source": "cifar10", "content": "c" * 64, "test": 0.2, "seed": 0, "limit": []},
        "backbone": {
            "architecture": "MobileNetV2",
            "alpha": 0.35,
            "size": [96 + 32 * place, 96 + 32 * place],
            "resize": "stretch",
            "interpolation": "bilinear",
            "preprocessing": "tf",
            "weights": "imagenet mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5",
            "views": ["identity", "mirror"],
        },
        "extractor": 1,
    }
    spent = pass_seconds(backbone)
    layers = ["block_1_expand_relu", "block_3_expand_relu", "block_6_expand_relu", "out_relu"]
    views = ["identity", "mirror"]
    path = folder / f"{backbone}-{fingerprint(spec)[:8]}.h5"
    splits = {}
    for split, count in (("train", 4 * images), ("test", images)):
        labels = np.arange(count) % len(classes)
        values = np.zeros((count, 2), np.float16)
        arrays = {(view, layer): values for view in views for layer in layers}
        splits[split] = (labels, [f"{image}.png" for image in range(count)], arrays)
    write_features(
        path,
        splits=splits,
        classes=classes,
        views=views,
        spec=spec,
        facts={
            "channels": dict.fromkeys(layers, 2),
            "backbone": {"parameters": 410_208, "weights_sha256": "a" * 64},
            "dataset": {"images": {"train": 4 * images, "test": images}, "broken": list(broken)},
        },
        record={
            "seconds": {
                "start": 4.2,
                "read": 1.3,
                "compute": spent - 8,
                "write": 2.5,
                "total": spent,
            },
            "images_per_second": 985.4,
            "computed": 20_000,
            "peak_memory_bytes": 430_000_000,
            "engine": "openvino",
            "precision": "float32",
            "versions": {"python": "3.11.7", "keras": "3.15.0", "tensorflow": "2.21.0"},
            "hardware": {"processor": "A processor", "cores": 2, "memory_bytes": 25_000_000_000},
            "date": "2026-01-05T12:00:00+00:00",
        },
    )
    return path


FAILS = (1, "1 a class", 2)
"""A fit of the made learning curves that fails: curve, budget and seed."""


def make_evidence(study: Study, folder: Path) -> Evidence:
    """All that a report may be made of beside the runs: the comparison real, the rest made up."""
    folder.mkdir()
    compare_runs(study.metrics, folder / "comparison.json")
    curves = []
    for place, run in enumerate(list(study.runs())[:3]):
        rows = [
            {
                "budget": budget,
                "size": size,
                "images": images,
                "seed": seed,
                "accuracy": None if (place, budget, seed) == FAILS else accuracy + 0.01 * seed,
                "low": accuracy - 0.02,
                "high": accuracy + 0.02,
                "seconds": 0.1,
                "warnings": ["too few images"] if (place, budget, seed) == FAILS else [],
            }
            for budget, size, images, accuracy in (
                ("1 a class", 1, 10, 0.21 + 0.05 * place),
                ("1 %", 0.01, 80, 0.44),
                ("10 a class", 10, 100, 0.48),
                ("10 %", 0.1, 800, 0.63 - 0.03 * place),
                ("100 %", 1.0, 8000, 0.72),
            )
            for seed in range(3)
        ]
        curves.append(folder / f"{run}.json")
        curves[-1].write_text(
            json.dumps({"run": run, "split": "validation", "held": 1000, "rows": rows})
        )
    further = []
    for name, lost in (("shifted", 0.11), ("another-camera", 0.02)):
        for run, metrics in study.runs().items():
            test = {"images": 500, "accuracy": metrics["test"]["accuracy"] - lost}
            test |= {"low": test["accuracy"] - 0.04, "high": test["accuracy"] + 0.04}
            further.append(folder / f"{run}.{name}.json")
            further[-1].write_text(json.dumps({"run": run, "split": name, "test": test}))
    pixels = np.random.default_rng(0).integers(0, 256, (24, 12, 12, 3), dtype=np.uint8)
    labels = np.arange(24) % 2
    np.savez(
        folder / "images.npz",
        **{"x_train": pixels, "y_train": labels, "x_test": pixels[:4], "y_test": labels[:4]},
    )
    content = identify("npz", folder / "images.npz", folder / "memo.json")
    spec = DatasetSpec(source="npz", content=content, test=0.2, seed=0, limit=())
    prepare(spec, folder / "images.npz", folder / "dataset.h5")
    with open_images(folder / "dataset.h5", None) as images:
        names = images.ids("train")
    with (folder / "suspects.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for place, name in enumerate(names[:7]):
            table.writerow([name, "cat", "dog", round(0.9 - place / 10, 2), 0.05, 0.95])
    pair = {
        "first": {"split": "train", "image": "train/cat/0001.png", "class": "cat"},
        "second": {"split": "test", "image": "test/dog/0417.png", "class": "dog"},
    }
    counts = {"across": 1, "in_test": 1, "within": 2, "otherwise_labelled": 1}
    (folder / "duplicates.json").write_text(
        json.dumps(
            {
                "exact": {**counts, "pairs": [pair]},
                "near": {**counts, "threshold": 0.95, "pairs": [{**pair, "similarity": 0.971}]},
            }
        )
    )
    return Evidence(
        comparison=folder / "comparison.json",
        curves=curves,
        further=further,
        duplicates=folder / "duplicates.json",
        suspects=folder / "suspects.csv",
        dataset=folder / "dataset.h5",
    )

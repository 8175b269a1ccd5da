"""Pictures of failures: which are shown, of which run; the test split is only looked at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from features.datasets import DatasetSpec, identify, open_images, prepare
from features.errors import UserError
from pipeline.report.evidence import Evidence
from pipeline.report.mistakes import OF_EACH, PAIRS, SUREST, write_failures

from .test_build import LOGISTIC, SVM, read

CLASSES = ("cat", "dog", "fox")


def make_dataset(folder: Path, classes: int, of_each: int) -> Path:
    """Noise, as arrays, the first pixel of each image telling its row."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    arrays = {}
    for split in ("train", "test"):
        count = classes * of_each
        pixels = rng.integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
        arrays |= {f"x_{split}": pixels, f"y_{split}": np.arange(count) % classes}
    np.savez(folder / "images.npz", **arrays)
    content = identify("npz", folder / "images.npz", folder / "memo.json")
    spec = DatasetSpec(source="npz", content=content, test=0.2, seed=0, limit=())
    prepare(spec, folder / "images.npz", folder / "dataset.h5")
    return folder / "dataset.h5"


def add_predictions(
    metrics: Path, dataset: Path, source: Path | None, share: float, probabilities: bool = True
) -> dict[str, tuple[int, int, float]]:
    """Gives a run the predictions of a data set's test images, so many of them wrong.

    Returns:
        Of each image its label, what it is taken for, and how sure that is.
    """
    with open_images(dataset, source) as images:
        labels, ids = images.labels("test").astype(np.int64), images.ids("test")
        classes = images.classes
    rng = np.random.default_rng(1)
    scores = rng.random((len(labels), len(classes))).astype(np.float32)
    right = rng.random(len(labels)) >= share
    scores[right, labels[right]] += 1
    if probabilities:
        scores /= scores.sum(axis=1, keepdims=True)
    predicted = scores.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (labels, predicted), 1)
    fields = json.loads(metrics.read_text())
    fields |= {"classes": classes, "confusion": confusion.tolist()}
    metrics.write_text(json.dumps(fields))
    (metrics.parent / "fit.json").write_text(json.dumps({"probabilities": probabilities}))
    np.savez(
        metrics.parent / "predictions.npz",
        ids=np.array(ids),
        labels=labels,
        predicted=predicted,
        scores=scores,
    )
    exponents = np.exp(scores if not probabilities else np.log(scores))
    sure = exponents.max(axis=1) / exponents.sum(axis=1)
    rows = zip(ids, labels.tolist(), predicted.tolist(), sure.tolist(), strict=True)
    return {name: (label, taken, confidence) for name, label, taken, confidence in rows}


@pytest.mark.parametrize("probabilities", [True, False])
def test_the_surest_errors_of_the_best_run_are_shown(
    make_study: Callable[..., Any], tmp_path: Path, probabilities: bool
) -> None:
    dataset = make_dataset(tmp_path / "data", len(CLASSES), 60)
    study = make_study([LOGISTIC, SVM], classes=CLASSES)
    better, worse = study.metrics
    said = add_predictions(better, dataset, None, 0.5, probabilities)
    add_predictions(worse, dataset, None, 0.0)
    write_failures([worse, better], dataset, None, tmp_path / "failures.json")
    found = json.loads((tmp_path / "failures.json").read_text())
    wrong = {name for name, (label, taken, _) in said.items() if label != taken}
    assert found["run"] == "mobilenet96.logistic.0"
    assert (found["images"], found["wrong"]) == (180, len(wrong))
    surest = sorted(wrong, key=lambda name: -said[name][2])[:SUREST]
    assert [shown["image"] for shown in found["surest"]] == surest
    names = ["0", "1", "2"]
    assert found["pairs"] == sorted(found["pairs"], key=lambda pair: -pair["images"])
    for pair in found["pairs"]:
        of_it = [
            name
            for name in sorted(wrong, key=lambda name: -said[name][2])
            if [names[place] for place in said[name][:2]] == [pair["true"], pair["predicted"]]
        ]
        assert pair["images"] == len(of_it)
        assert [shown["image"] for shown in pair["shown"]] == of_it[:OF_EACH]
    for shown in (*found["surest"], *(one for pair in found["pairs"] for one in pair["shown"])):
        assert shown["picture"].startswith("data:image/png;base64,")
        assert shown["confidence"] == pytest.approx(said[shown["image"]][2], abs=1e-3)
        assert shown["true"] == names[said[shown["image"]][0]]
    page = read(
        study.report(tmp_path / "report.html", Evidence(failures=tmp_path / "failures.json"))
    )
    assert "Surest, and wrong" in page.text
    assert page.tags.count("img") == len(found["surest"]) + sum(
        len(pair["shown"]) for pair in found["pairs"]
    )


def test_it_reads_nothing_but_the_best_runs_answers_and_the_test_images(
    make_study: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(tmp_path / "data", 3, 20)
    (metrics,) = make_study([LOGISTIC], classes=CLASSES).metrics
    add_predictions(metrics, dataset, None, 0.3)
    from features.datasets import Images

    looked_at, whole = set(), Images.read
    monkeypatch.setattr(
        Images,
        "read",
        lambda self, split, *rows: (looked_at.add(split), whole(self, split, *rows))[1],
    )
    before = {path: path.read_bytes() for path in metrics.parent.iterdir()}
    write_failures([metrics], dataset, None, tmp_path / "failures.json")
    assert looked_at == {"test"}
    assert {path: path.read_bytes() for path in metrics.parent.iterdir()} == before


def test_photographs_of_a_hundred_classes_stay_small(
    make_study: Callable[..., Any], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in range(100):
            folder = tmp_path / "photographs" / split / f"class{label:03}"
            folder.mkdir(parents=True)
            for place in range(3):
                blocks = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
                Image.fromarray(blocks).resize((120, 90)).save(folder / f"{place}.jpg")
    source = tmp_path / "photographs"
    content = identify("folder", source, tmp_path / "memo.json")
    spec = DatasetSpec(source="folder", content=content, test=0.2, seed=0, limit=())
    prepare(spec, source, tmp_path / "dataset.h5")
    study = make_study([LOGISTIC], classes=[f"class{label:03}" for label in range(100)])
    add_predictions(study.metrics[0], tmp_path / "dataset.h5", source, 0.8)
    output = tmp_path / "failures.json"
    write_failures(study.metrics, tmp_path / "dataset.h5", source, output)
    found = json.loads(output.read_text())
    assert len(found["pairs"]) == PAIRS
    assert found["surest"][0]["picture"].startswith("data:image/webp;base64,")
    assert output.stat().st_size < 300_000
    shutil.rmtree(source)
    write_failures(study.metrics, tmp_path / "dataset.h5", source, output)
    gone = json.loads(output.read_text())
    assert gone["surest"][0]["picture"] is None
    page = read(study.report(tmp_path / "report.html", Evidence(failures=output)))
    assert gone["surest"][0]["image"] in page.text
    assert page.tags.count("img") == 0


def test_a_run_without_an_error_shows_none(make_study: Callable[..., Any], tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", 3, 20)
    study = make_study([LOGISTIC], classes=CLASSES)
    add_predictions(study.metrics[0], dataset, None, 0.0)
    write_failures(study.metrics, dataset, None, tmp_path / "failures.json")
    found = json.loads((tmp_path / "failures.json").read_text())
    assert (found["wrong"], found["pairs"], found["surest"]) == (0, [], [])
    evidence = Evidence(failures=tmp_path / "failures.json")
    page = read(study.report(tmp_path / "report.html", evidence))
    assert "Surest, and wrong" not in page.text
    assert "It made no error there" in page.text


def test_missing_predictions_are_told(make_study: Callable[..., Any], tmp_path: Path) -> None:
    study = make_study([LOGISTIC], classes=CLASSES, predictions=False)
    with pytest.raises(UserError, match=r"predictions\.npz: missing or damaged"):
        write_failures(study.metrics, tmp_path / "none.h5", None, tmp_path / "failures.json")

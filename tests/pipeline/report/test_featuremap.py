"""The map of the features: of which run, with pictures of which images, and how large it gets."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from features.cache import write_features
from features.datasets import open_images
from features.files import fingerprint
from pipeline.report.evidence import Evidence
from pipeline.report.featuremap import looks_of, map_chart, write_map

from .test_build import LOGISTIC, SVM, read
from .test_mistakes import make_dataset

FILE = "mobilenet96"
Make = Callable[..., Any]


def make_features(folder: Path, dataset: Path) -> Path:
    """Features of a data set's images by which the classes lie apart, under the name of `FILE`."""
    spec = {"dataset": {"content": "c"}, "backbone": {"name": FILE}}
    splits = {}
    with open_images(dataset, None) as images:
        for split in images.splits:
            labels, ids = images.labels(split).astype(np.int64), images.ids(split)
            noise = np.random.default_rng(3).normal(0, 0.4, (len(ids), 8))
            values = 3 * np.random.default_rng(4).normal(size=(len(images.classes), 8))[labels]
            splits[split] = (labels, ids, {("identity", "last"): values + noise})
        classes = images.classes
    path = folder / f"{FILE}-{fingerprint(spec)[:8]}.h5"
    write_features(path, splits=splits, classes=classes, views=["identity"], spec=spec, record={})
    return path


def seen_by(metrics: Sequence[Path], features: Path, **fields: Any) -> None:
    """Lets runs be made from a features file."""
    for path in metrics:
        run = json.loads(path.read_text())
        path.write_text(json.dumps(run | {"passes": {features.stem: 20.0}} | fields))


def make_map(study: Any, folder: Path, classes: int, of_each: int) -> Path:
    """The map of a study whose images are noise."""
    dataset = make_dataset(folder / "data", classes, of_each)
    features = make_features(folder, dataset)
    seen_by(study.metrics, features)
    write_map(study.metrics, [features], dataset, None, folder / "map.json")
    return folder / "map.json"


def test_training_images_of_the_best_head_are_laid_out_with_their_pictures(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study([SVM, LOGISTIC], classes=("0", "1", "2"))
    found = json.loads(make_map(study, tmp_path, 3, 30).read_text())
    assert found["run"] == "mobilenet96.logistic.0"
    assert (found["images"], found["of"]) == (90, 90)
    with open_images(tmp_path / "data" / "dataset.h5", None) as images:
        assert found["ids"] == images.ids("train")
        pixels = np.asarray(images.read("train", 0, 90))
    sprite = found["sprite"]
    encoded = base64.b64decode(sprite["address"].partition(",")[2])
    sheet = np.asarray(Image.open(io.BytesIO(encoded)))
    assert (sprite["side"], sprite["columns"]) == (12, 10)
    assert sheet.shape == (108, 120, 3)
    for place in (0, 37, 89):
        row, column = divmod(place, 10)
        tile = sheet[row * 12 : row * 12 + 12, column * 12 : column * 12 + 12]
        np.testing.assert_array_equal(tile, pixels[place])
    page = read(study.report(tmp_path / "report.html", Evidence(map=tmp_path / "map.json")))
    assert "All 90 training and validation images" in page.text
    assert "How far apart two groups lie, how large or how dense they are, says little" in page.text
    assert len(page.tables["beside"]) == 4


def test_a_vote_or_a_training_has_no_features_and_the_next_head_is_taken(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study([LOGISTIC, SVM], classes=("0", "1"))
    dataset = make_dataset(tmp_path / "data", 2, 12)
    features = make_features(tmp_path, dataset)
    seen_by(study.metrics, features)
    seen_by(study.metrics[:1], features, type="vote", layers=None)
    write_map(study.metrics, [features], dataset, None, tmp_path / "map.json")
    assert json.loads((tmp_path / "map.json").read_text())["run"] == "mobilenet96.svm.0"
    page = read(study.report(tmp_path / "report.html", Evidence(map=tmp_path / "map.json")))
    assert "the best run on cached features" in page.text


def test_without_its_images_the_map_stands_without_pictures(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study([LOGISTIC], classes=("0", "1"))
    features = make_features(tmp_path, make_dataset(tmp_path / "data", 2, 12))
    seen_by(study.metrics, features)
    write_map(study.metrics, [features], tmp_path / "gone.h5", None, tmp_path / "map.json")
    assert json.loads((tmp_path / "map.json").read_text())["sprite"] is None
    text = study.report(tmp_path / "report.html", Evidence(map=tmp_path / "map.json"))
    assert "--sprite: url" not in text


def test_a_hundred_classes_have_no_legend_and_a_small_page(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study([LOGISTIC], classes=[str(label) for label in range(100)])
    file = make_map(study, tmp_path, 100, 12)
    found = json.loads(file.read_text())
    assert (found["images"], found["of"]) == (1000, 1200)
    output = tmp_path / "report.html"
    text = study.report(output, Evidence(map=file))
    section = text[text.index('<section id="map"') : text.index("<figcaption", text.index("map"))]
    assert "<span>Classes</span>" not in section
    assert output.stat().st_size < 3_000_000


def test_no_two_of_sixty_four_classes_look_alike() -> None:
    looks = looks_of([str(place) for place in range(64)])
    assert len({tuple(look.values()) for look in looks.values()}) == 64


@pytest.mark.parametrize("name", ["</script>", "datum.x", "'"])
def test_a_class_may_have_any_name(name: str) -> None:
    found = {"classes": [name, "b"], "x": [0, 1], "y": [0, 1], "labels": [0, 1], "ids": ["i", "j"]}
    spec = map_chart(found)
    assert spec["params"][0]["value"] == [name, "b"]

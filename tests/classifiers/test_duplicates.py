"""Images that are there twice."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from classifiers.duplicates import exact_pairs, find_duplicates, near_pairs
from features.cache import write_features
from features.datasets import DatasetSpec, identify, open_images, prepare
from features.errors import UserError
from features.files import fingerprint


def arrays(folder: Path, **splits: np.ndarray) -> Path:
    """A dataset file of arrays: `arrays(folder, train=images, test=images)`; two classes."""
    source = folder / "data.npz"
    fields = {}
    for split, images in splits.items():
        fields |= {f"x_{split}": images, f"y_{split}": np.arange(len(images)) % 2}
    np.savez(source, **fields)
    return prepared(folder, "npz", source)


def prepared(folder: Path, source: str, path: Path) -> Path:
    content = identify(source, path, folder / "memo.json")
    spec = DatasetSpec(source=source, content=content, test=0.2, seed=0, limit=())
    prepare(spec, path, folder / "dataset.h5")
    return folder / "dataset.h5"


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def with_features(folder: Path, dataset: Path, noise: float = 0.0) -> Path:
    """Features that are the pixels."""
    with open_images(dataset, None) as images:
        splits = {}
        for split in images.splits:
            labels = images.labels(split)
            values = np.asarray(images.read(split, 0, len(labels))).reshape(len(labels), -1)
            splits[split] = (labels, images.ids(split), {("identity", "late"): values / 255.0})
        spec = {"dataset": images.spec}
        path = folder / f"made-{fingerprint(spec)[:8]}.h5"
        write_features(
            path,
            splits=splits,
            classes=images.classes,
            views=["identity"],
            spec=spec,
            record={},
        )
    return path


def found(dataset: Path, features: Path | None, output: Path) -> dict[str, Any]:
    find_duplicates(dataset, features, output)
    fields: dict[str, Any] = json.loads(output.read_text())
    return fields


def test_equal_pixels_are_found_across_and_within_splits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train, test = pictures(40), pictures(10, seed=1)
    train[5] = train[2]
    test[3] = train[7]
    test[4] = train[8]
    logging.getLogger("headstart").propagate = True
    exact = found(arrays(tmp_path, train=train, test=test), None, tmp_path / "d.json")["exact"]
    assert (exact["across"], exact["in_test"], exact["within"]) == (2, 2, 1)
    # 5 and 2, and 4 and 8, are of one parity: only the third pair's labels agree.
    assert exact["otherwise_labelled"] == 1
    places = [
        tuple((pair[p]["split"], pair[p]["image"].rpartition("/")[2]) for p in ("first", "second"))
        for pair in exact["pairs"]
    ]
    assert [(a[0], b[0]) for a, b in places] == [("train", "test")] * 2 + [("train", "train")]
    assert "2 test images are the same as images to train or validate on" in caplog.text


def test_files_of_a_folder_are_compared_without_the_folder(tmp_path: Path) -> None:
    for split, seed in (("train", 0), ("test", 1)):
        for place, image in enumerate(pictures(8, seed)):
            if (split, place) == ("test", 5):
                image = pictures(8, 0)[3]
            file = tmp_path / "images" / split / "ab"[place % 2] / f"{place}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(file)
    dataset = prepared(tmp_path, "folder", tmp_path / "images")
    (tmp_path / "images").rename(tmp_path / "gone")
    exact = found(dataset, None, tmp_path / "d.json")["exact"]
    assert exact["in_test"] == 1
    (pair,) = exact["pairs"]
    assert pair["first"] == {"split": "train", "image": "train/b/3.png", "class": "b"}
    assert pair["second"] == {"split": "test", "image": "test/b/5.png", "class": "b"}


def test_nearly_equal_images_are_found_by_their_features(tmp_path: Path) -> None:
    train, test = pictures(400), pictures(20, seed=1)
    test[3] = np.clip(train[7].astype(int) + 5, 0, 255)
    test[4] = train[8]
    dataset = arrays(tmp_path, train=train, test=test)
    fields = found(dataset, with_features(tmp_path, dataset), tmp_path / "d.json")
    near = fields["near"]
    assert 0.85 <= near["threshold"] < 0.98
    assert (near["in_test"], near["within"]) == (1, 0), "equal ones are not listed twice"
    (pair,) = near["pairs"]
    assert pair["similarity"] > 0.98
    assert fields["exact"]["in_test"] == 1


def test_where_other_classes_are_as_alike_the_threshold_rises() -> None:
    """All images are nearly one, whatever their class."""
    rng = np.random.default_rng(0)
    values = np.ones((400, 20)) + rng.normal(0, 0.05, (400, 20))
    values[398] = values[0]
    unit = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    threshold, pairs, similarity = near_pairs(unit, np.arange(400) % 2, [0, 300])
    assert threshold > 0.99
    assert [0, 398] in pairs.tolist()
    assert len(pairs) < 20
    assert (similarity >= threshold).all()


def test_near_pairs_are_those_of_all_comparisons() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(700, 6))
    values = np.concatenate([centres, centres[:200] + rng.normal(0, 0.1, (200, 6))])
    unit = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    labels = np.arange(900) % 700
    threshold, pairs, similarity = near_pairs(unit, labels, [0, 700])
    alike = unit @ unit.T
    for row in range(900):
        earlier = alike[row, : 700 if row >= 700 else row]
        mine = [(one, s) for (one, other), s in zip(pairs, similarity, strict=True) if other == row]
        if len(earlier) and earlier.max() >= threshold + 1e-6:
            assert mine
            assert mine[0][1] == pytest.approx(earlier.max(), abs=1e-5)
    assert len({other for _, other in pairs.tolist()}) == len(pairs)


def test_each_copy_is_paired_with_the_first() -> None:
    assert exact_pairs([b"a", b"b", b"a", b"a"]).tolist() == [[0, 2], [0, 3]]
    assert exact_pairs([]).shape == (0, 2)


def test_a_file_that_is_none_and_features_of_others_are_told(tmp_path: Path) -> None:
    (tmp_path / "no.h5").write_bytes(b"no")
    with pytest.raises(UserError, match="cannot be read as a dataset file"):
        find_duplicates(tmp_path / "no.h5", None, tmp_path / "d.json")
    dataset = arrays(tmp_path, train=pictures(20), test=pictures(8, 1))
    features = with_features(tmp_path, dataset)
    (tmp_path / "more").mkdir()
    other = arrays(tmp_path / "more", train=pictures(20), test=pictures(6, 1))
    with pytest.raises(UserError, match="not those of"):
        find_duplicates(other, features, tmp_path / "d.json")

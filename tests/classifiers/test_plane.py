"""Images on a plane: like beside like, the same every time, and never a test image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from classifiers.plane import NEIGHBOURS, Plane, mixed, on_a_plane
from classifiers.spec import Choice
from features.cache import write_features
from features.errors import UserError
from features.files import fingerprint

CLASSES = ["cat", "dog", "fox"]


def clouds(count: int, seed: int, spread: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Values of so many images around the corner of their class, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    values = 4 * np.eye(len(CLASSES), 8)[labels] + rng.normal(0, spread, (count, 8))
    return values.astype(np.float32), labels


def write(folder: Path, sizes: dict[str, int], name: str = "net") -> Path:
    spec = {"dataset": {"content": "c"}, "backbone": {"name": name}}
    splits = {}
    for place, (split, count) in enumerate(sizes.items()):
        values, labels = clouds(count, place)
        arrays = {("identity", "last"): values, ("mirror", "last"): values + 0.1}
        splits[split] = (labels, [f"{split}/{row}" for row in range(count)], arrays)
    path = folder / f"{name}-{fingerprint(spec)[:8]}.h5"
    write_features(
        path, splits=splits, classes=CLASSES, views=["identity", "mirror"], spec=spec, record={}
    )
    return path


def test_like_lies_beside_like_and_no_test_image_is_there(tmp_path: Path) -> None:
    file = write(tmp_path, {"train": 90, "validation": 30, "test": 60})
    plane = on_a_plane(file, Choice(), seed=0)
    assert sorted(plane.ids) == sorted(
        [f"train/{row}" for row in range(90)] + [f"validation/{row}" for row in range(30)]
    )
    assert (plane.of, plane.dimensions, plane.components) == (120, 8, 8)
    assert plane.places.shape == (120, 2)
    assert plane.places.min() == 0
    assert plane.places.max(axis=0) == pytest.approx([1, 1])
    distances = np.linalg.norm(plane.places[:, None] - plane.places, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (plane.labels[distances.argmin(axis=1)] == plane.labels).mean() > 0.95
    assert plane.nearest.shape == (120, NEIGHBOURS)
    assert (plane.nearest != np.arange(120)[:, None]).all()


def test_equal_seeds_give_equal_planes_of_a_drawn_sample(tmp_path: Path) -> None:
    file = write(tmp_path, {"train": 300, "test": 30})
    first, same, other = (on_a_plane(file, Choice(), seed=s, limit=60) for s in (1, 1, 2))
    assert first.ids == same.ids != other.ids
    np.testing.assert_array_equal(first.places, same.places)
    assert len(set(first.ids)) == 60
    assert first.labels.tolist() == [int(name.partition("/")[2]) % 3 for name in first.ids]


@pytest.mark.parametrize("choice", [Choice(view="rows"), Choice(view="mean", pca=2, whiten=True)])
def test_any_choice_of_features_can_be_laid_out(tmp_path: Path, choice: Choice) -> None:
    one, two = (write(tmp_path, {"train": 40, "test": 9}, name) for name in ("one", "two"))
    plane = on_a_plane([one, two], choice, seed=0)
    assert plane.places.shape == (40, 2)
    assert plane.dimensions == 16


@pytest.mark.parametrize("count", [3, 6, 9])
def test_few_images_make_a_plane_too(tmp_path: Path, count: int) -> None:
    plane = on_a_plane(write(tmp_path, {"train": count, "test": 9}), Choice(), seed=0)
    assert np.isfinite(plane.places).all()
    assert plane.perplexity < count


def test_too_few_images_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="2 training images are too few"):
        on_a_plane(write(tmp_path, {"train": 2, "test": 9}), Choice(), seed=0)


def test_which_classes_lie_among_each_other() -> None:
    labels = np.array([0, 0, 0, 1])
    nearest = np.array([[1, 2], [0, 3], [0, 3], [1, 2]])
    plane = Plane(list("abcd"), labels, CLASSES, np.zeros((4, 2)), nearest, 4, 2, 2, 1.0)
    assert mixed(plane) == [
        {"class": "cat", "images": 3, "same": 4 / 6, "other": "dog", "share": 2 / 6},
        {"class": "dog", "images": 1, "same": 0.0, "other": "cat", "share": 1.0},
    ]

"""Scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.datasets import DatasetSpec, identify, open_images, prepare
from features.errors import UserError


def test_the_digits_are_8_bit_rgb_with_a_drawn_test_split(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    content = identify("digits", None, tmp_path / "memo.json")
    prepare(DatasetSpec("digits", content, 0.2, 0), None, tmp_path / "digits.h5")
    digits = load_digits()
    with open_images(tmp_path / "digits.h5", None) as images:
        assert images.classes == list("0123456789")
        assert [len(images.labels(split)) for split in images.splits] == [1437, 360]
        assert np.bincount(images.labels("test")).min() >= 34
        for split in images.splits:
            rows = [int(name) for name in images.ids(split)]
            read = np.asarray(images.read(split, 0, 2000))
            assert read.shape[1:] == (8, 8, 3)
            assert (read == read[..., :1]).all()
            assert np.abs(read[..., 0] - digits.images[rows] * 255 / 16).max() <= 0.5
            assert np.array_equal(images.labels(split), digits.target[rows])


def test_all_digits_are_test_images_of_a_further_test_set(tmp_path: Path) -> None:
    content = identify("digits", None, tmp_path / "memo.json", only_test=True)
    prepare(DatasetSpec("digits", content, 1.0, 0), None, tmp_path / "digits.h5")
    with open_images(tmp_path / "digits.h5", None) as images:
        assert images.splits == ["test"]
        assert images.ids("test") == [f"{number:04d}" for number in range(1797)]


def test_other_digits_than_the_known_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="other digits"):
        prepare(DatasetSpec("digits", "0" * 64, 0.2, 0), None, tmp_path / "digits.h5")

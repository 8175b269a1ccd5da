"""The matrix that a head sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import features
from classifiers.data import matrix
from features.errors import UserError


def test_last_and_all_follow_the_stored_order(features_path: Path) -> None:
    with features.open(features_path) as file:
        early = file.array("train", "identity", "early")
        late = file.array("train", "identity", "late")
        assert np.array_equal(matrix(file, "train", "last", "identity"), late)
        joined = matrix(file, "train", "all", "identity")
    assert np.array_equal(joined, np.hstack([early, late]))
    assert joined.dtype == np.float32


def test_named_layers_come_in_the_order_they_are_named(features_path: Path) -> None:
    with features.open(features_path) as file:
        joined = matrix(file, "test", ("late", "early"), "mirror")
        assert np.array_equal(joined[:, 6:], file.array("test", "mirror", "early"))
        assert np.array_equal(
            matrix(file, "test", "early", "mirror"), matrix(file, "test", ("early",), "mirror")
        )


def test_mean_is_the_mean_of_both_views_beyond_half_precision(features_path: Path) -> None:
    with features.open(features_path) as file:
        views = [file.array("train", view, "late").astype(float) for view in file.views]
        mean = matrix(file, "train", "last", "mean")
    assert mean == pytest.approx((views[0] + views[1]) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("layers", "view", "named"),
    [
        ("middle", "identity", ["'middle'", "last, all", "early, late"]),
        (("late", "middle"), "identity", ["'middle'", "early, late"]),
        ((), "identity", ["early, late"]),
        ("last", "upside-down", ["'upside-down'", "mean, identity, mirror"]),
    ],
)
def test_an_unknown_name_is_told_with_the_allowed_ones(
    features_path: Path, layers: str | tuple[str, ...], view: str, named: list[str]
) -> None:
    with features.open(features_path) as file, pytest.raises(UserError) as error:
        matrix(file, "train", layers, view)
    assert all(part in str(error.value) for part in named)


def test_infinite_features_are_refused_by_layer_and_split(write: Callable[..., Path]) -> None:
    labels = np.arange(6) % 3
    arrays = {
        (view, layer): np.ones((6, 2)) for view in ("identity", "mirror") for layer in ("early",)
    }
    arrays |= {(view, "late"): np.full((6, 2), np.inf) for view in ("identity", "mirror")}
    path = write(train=labels, replaced={"train": arrays})
    with features.open(path) as file:
        assert matrix(file, "train", "early", "mean").shape == (6, 2)
        with pytest.raises(UserError, match=r"'late' of split 'train' .* not finite"):
            matrix(file, "train", "all", "mean")

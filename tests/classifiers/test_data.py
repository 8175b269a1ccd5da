"""The matrix that a head sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classifiers import data
from classifiers.data import Features
from classifiers.spec import Choice
from features.cache import FeatureFile
from features.errors import UserError

WriteFeatures = Callable[..., Path]


def test_last_and_all_follow_the_stored_order(features_path: Path) -> None:
    with FeatureFile(features_path) as file, Features(features_path) as opened:
        early = file.array("train", "identity", "early")
        late = file.array("train", "identity", "late")
        assert np.array_equal(opened.matrix("train", Choice()), late)
        joined = opened.matrix("train", Choice("all"))
    assert np.array_equal(joined, np.hstack([early, late]))
    assert joined.dtype == np.float32


def test_named_layers_come_in_the_order_they_are_named(features_path: Path) -> None:
    with FeatureFile(features_path) as file, Features(features_path) as opened:
        joined = opened.matrix("test", Choice(("late", "early"), "mirror"))
        early = file.array("test", "mirror", "early")
        assert np.array_equal(joined[:, 6:], early)
        for layers in ("early", ("early",)):
            assert np.array_equal(opened.matrix("test", Choice(layers, "mirror")), early)


def test_last_stands_for_the_last_layer_among_names_too(write: WriteFeatures) -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3)
    arrays = {
        (view, layer): kept
        for view in ("identity", "mirror")
        for layer, kept in (
            ("early", values.mean(axis=(1, 2)) + 1),
            ("late", values.mean(axis=(1, 2))),
            ("spatial/late", values),
        )
    }
    labels = np.array([0, 1])
    path = write(train=labels, test=labels, replaced={"train": arrays, "test": arrays})
    with Features(path) as opened:
        pooled = opened.matrix("train", Choice(("last", "early")))
        flat = opened.matrix("train", Choice(("spatial/last",)))
    late, early = values.mean(axis=(1, 2)), values.mean(axis=(1, 2)) + 1
    assert np.array_equal(pooled, np.hstack([late, early]))
    assert np.array_equal(flat, values.reshape(2, -1))


def test_mean_is_the_mean_of_both_views_beyond_half_precision(features_path: Path) -> None:
    with FeatureFile(features_path) as file, Features(features_path) as opened:
        views = [file.array("train", view, "late").astype(float) for view in file.views]
        mean = opened.matrix("train", Choice("last", "mean"))
    assert mean == pytest.approx((views[0] + views[1]) / 2, abs=1e-6)


def test_views_as_rows_stand_side_by_side_for_each_image(features_path: Path) -> None:
    with FeatureFile(features_path) as file, Features(features_path) as opened:
        each = opened.matrix("test", Choice("late", "rows"))
        for place, view in enumerate(file.views):
            assert np.array_equal(each[:, place], file.array("test", view, "late"))


def test_roots_keep_the_sign(features_path: Path) -> None:
    with Features(features_path) as opened:
        plain = opened.matrix("train", Choice("all", "mean"))
        rooted = opened.matrix("train", Choice("all", "mean", root=True))
    assert (plain < 0).any()
    assert (plain > 0).any()
    assert np.sign(rooted) * rooted**2 == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("view", ["identity", "mean", "rows"])
def test_blocks_and_dask_give_what_memory_gives(
    write: WriteFeatures, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "BLOCK_BYTES", 1)  # 32 rows at a time
    path = write(train=np.arange(101) % 3)
    choice = Choice("all", view, root=True)
    with Features(path) as opened:
        whole = opened.matrix("train", choice)
        assert opened.shape("train", choice) == whole.shape
        blocks = list(opened.blocks("train", choice))
        lazy = opened.lazy("train", choice)
    assert len(blocks) == 4
    assert np.array_equal(np.concatenate(blocks), whole)
    assert lazy.chunks[0] == (32, 32, 32, 5)
    assert np.array_equal(lazy.compute(), whole)


def test_several_backbones_are_joined_side_by_side(write: WriteFeatures) -> None:
    labels = np.arange(30) % 3
    one, other = write(train=labels), write(train=labels, noise=1.0)
    with Features(one) as a, Features(other) as b, Features([one, other]) as joined:
        parts = [opened.matrix("train", Choice("all", "mean")) for opened in (a, b)]
        assert np.array_equal(joined.matrix("train", Choice("all", "mean")), np.hstack(parts))
        assert len({a.fingerprint, b.fingerprint, joined.fingerprint}) == 3
        assert len({a.made_by, b.made_by, joined.made_by}) == 3
        assert joined.seconds == {one.stem: 2.0, other.stem: 2.0}


def test_features_of_different_images_are_not_joined(write: WriteFeatures) -> None:
    labels = np.arange(30) % 3
    with pytest.raises(UserError, match="different images"):
        Features([write(train=labels), write(train=labels, source="other", noise=1.0)])


def test_features_without_a_view_in_common_are_not_joined(
    write: WriteFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.arange(30) % 3
    one, other = write(train=labels), write(train=labels, noise=1.0)
    read = FeatureFile._read_attributes

    def with_its_own_view(file: FeatureFile) -> None:
        read(file)
        file.views = ["identity"] if file.path == one else ["mirror"]

    monkeypatch.setattr(FeatureFile, "_read_attributes", with_its_own_view)
    with pytest.raises(UserError, match="have no view in common"):
        Features([one, other])


@pytest.mark.parametrize(
    ("layers", "view", "named"),
    [
        ("middle", "identity", ["'middle'", "last, all", "early, late"]),
        (("late", "middle"), "identity", ["'middle'", "early, late"]),
        ((), "identity", ["early, late"]),
        ("last", "upside-down", ["'upside-down'", "mean, rows, identity, mirror"]),
    ],
)
def test_an_unknown_name_is_told_with_the_allowed_ones(
    features_path: Path, layers: str | tuple[str, ...], view: str, named: list[str]
) -> None:
    with Features(features_path) as file, pytest.raises(UserError) as error:
        file.matrix("train", Choice(layers, view))
    assert all(part in str(error.value) for part in named)


def test_infinite_features_are_refused_by_layer_and_split(write: Callable[..., Path]) -> None:
    labels = np.arange(6) % 3
    arrays = {
        (view, layer): np.ones((6, 2)) for view in ("identity", "mirror") for layer in ("early",)
    }
    arrays |= {(view, "late"): np.full((6, 2), np.inf) for view in ("identity", "mirror")}
    path = write(train=labels, replaced={"train": arrays})
    with Features(path) as file:
        assert file.matrix("train", Choice("early", "mean")).shape == (6, 2)
        with pytest.raises(UserError, match=r"'late' of split 'train' .* not finite"):
            file.matrix("train", Choice("all", "mean"))

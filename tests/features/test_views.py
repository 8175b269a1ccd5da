"""Views depend on the image, its name and the seed, and on nothing else."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import StringConstraints, TypeAdapter, ValidationError

from features.views import VIEW_PATTERN, is_view, see

IN_A_STUDY = TypeAdapter(Annotated[str, StringConstraints(pattern=VIEW_PATTERN)])
"""How a study checks names: by another engine of regular expressions than Python's."""

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 20, 24, 3), dtype=np.uint8)
IDS = [f"train/{i}.jpg" for i in range(12)]


@pytest.mark.parametrize("view", ["identity", "mirror", "augmented-0", "augmented-7"])
def test_shapes_and_input_stay(view: str) -> None:
    before = IMAGES.copy()
    seen = see(view, IMAGES, IDS)
    assert isinstance(seen, np.ndarray)
    assert (seen.shape, seen.dtype) == (IMAGES.shape, np.dtype(np.uint8))
    np.testing.assert_array_equal(IMAGES, before)
    sizes = [(5, 9), (30, 7), (1, 1)]
    images = [RNG.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    copies = [image.copy() for image in images]
    shown = see(view, images, IDS[:3])
    assert [image.shape[:2] for image in shown] == sizes
    assert {image.dtype for image in shown} == {np.dtype(np.uint8)}
    for image, copy in zip(images, copies, strict=True):
        np.testing.assert_array_equal(image, copy)


def test_identity_shows_the_images_themselves() -> None:
    assert see("identity", IMAGES, IDS) is IMAGES


def test_the_mirror_of_the_mirror_is_the_image() -> None:
    np.testing.assert_array_equal(see("mirror", see("mirror", IMAGES, IDS), IDS), IMAGES)
    np.testing.assert_array_equal(see("mirror", IMAGES, IDS)[3, 2, 0], IMAGES[3, 2, -1])


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(12)), cut=st.integers(0, 12))
def test_order_and_batches_change_no_augmentation(order: list[int], cut: int) -> None:
    at_once = see("augmented-3", IMAGES, IDS)
    for batch in (order[:cut], order[cut:]):
        names = [IDS[i] for i in batch]
        np.testing.assert_array_equal(see("augmented-3", IMAGES[batch], names), at_once[batch])
        for i, image in zip(batch, see("augmented-3", list(IMAGES[batch]), names), strict=True):
            np.testing.assert_array_equal(image, at_once[i])


def test_seeds_and_names_each_make_another_augmentation() -> None:
    one = see("augmented-0", IMAGES, IDS)
    assert not np.array_equal(one, see("augmented-1", IMAGES, IDS))
    same = np.repeat(IMAGES[:1], 12, axis=0)
    seen = see("augmented-0", same, IDS)
    assert len({image.tobytes() for image in seen}) == 12


def test_an_augmentation_is_mild() -> None:
    """Half to all of the image, a fifth lighter or darker at most: its mean stays near."""
    smooth = np.broadcast_to(np.arange(40, 104, dtype=np.uint8)[:, None, None], (200, 64, 64, 3))
    seen = see("augmented-5", smooth, [str(i) for i in range(200)]).astype(float)
    means = seen.mean(axis=(1, 2, 3))
    assert abs(means.mean() - smooth.mean()) < 3
    assert 3 < means.std() < 15
    # Upright stays upright: it is mirrored left to right only.
    assert (seen[:, -1].mean(axis=(1, 2)) > seen[:, 0].mean(axis=(1, 2))).all()


def test_half_of_the_augmentations_are_mirrored() -> None:
    ramp = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[:, None], (300, 64, 64, 3))
    seen = see("augmented-1", ramp, [str(i) for i in range(300)]).astype(float)
    mirrored = (seen[:, :, 0].mean(axis=(1, 2)) > seen[:, :, -1].mean(axis=(1, 2))).mean()
    assert 0.4 < mirrored < 0.6


@pytest.mark.parametrize("name", ["identity", "mirror", "augmented-0", "augmented-999999999"])
def test_names_of_views_are_taken(name: str) -> None:
    assert is_view(name)
    assert IN_A_STUDY.validate_python(name) == name
    assert len(see(name, IMAGES, IDS)) == len(IMAGES)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "flip",
        "augmented",
        "augmented-",
        "augmented-01",
        "augmented--1",
        "Identity",
        "augmented-1234567890",
        "augmented-0\n",
    ],
)
def test_what_is_no_view_is_refused(name: str) -> None:
    assert not is_view(name)
    with pytest.raises(ValidationError):
        IN_A_STUDY.validate_python(name)
    with pytest.raises(ValueError, match="no view"):
        see(name, IMAGES, IDS)

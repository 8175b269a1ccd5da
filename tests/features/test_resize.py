"""Images that are resized one by one are resized as the graph does it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.resize import matrices, resize

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
MODES = ("stretch", "crop", "pad")

sides = st.integers(1, 70) | st.integers(1, 400)

TOLERANCE = {name: 0.0 if name == "nearest" else 1e-3 for name in INTERPOLATIONS}
"""In grey levels, of 255. "nearest" picks pixels, so that any difference is another pixel."""


def by_keras(
    image: np.ndarray, size: tuple[int, int], interpolation: str, mode: str, antialias: bool = False
) -> np.ndarray:
    layer = keras.layers.Resizing(
        *size,
        interpolation=interpolation,
        crop_to_aspect_ratio=mode == "crop",
        pad_to_aspect_ratio=mode == "pad",
        antialias=antialias,
    )
    return np.asarray(layer(image.astype(np.float32)[None]))[0]


@settings(max_examples=150, deadline=None)
@given(
    height=sides,
    width=sides,
    size=st.tuples(sides, sides),
    interpolation=st.sampled_from(INTERPOLATIONS),
    mode=st.sampled_from(MODES),
    antialias=st.booleans(),
    seed=st.integers(0, 9),
)
def test_it_is_what_keras_gives(
    height: int,
    width: int,
    size: tuple[int, int],
    interpolation: str,
    mode: str,
    antialias: bool,
    seed: int,
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    ours = resize(image, size, interpolation, mode, antialias)
    assert ours.dtype == np.float32
    assert ours.shape == (*size, 3)
    theirs = by_keras(image, size, interpolation, mode, antialias)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE[interpolation])


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("shape", [(375, 500), (1200, 1599), (3001, 40)])
def test_a_photograph(shape: tuple[int, int], interpolation: str) -> None:
    """Far from the origin too, where float32 positions are coarse."""
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before = image.copy()
    for mode in MODES:
        ours = resize(image, (224, 299), interpolation, mode)
        theirs = by_keras(image, (224, 299), interpolation, mode)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE[interpolation])
        as_float = resize(image.astype(np.float32), (224, 299), interpolation, mode)
        np.testing.assert_array_equal(as_float, ours)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("side", "target"), [(49, 98), (468, 54), (951, 491), (207, 51), (1000, 300)]
)
def test_nearest_takes_the_pixel_that_keras_takes(side: int, target: int) -> None:
    """Some of these have middles on an edge between two pixels."""
    image = np.repeat(np.arange(side, dtype=np.float32)[:, None, None], 3, axis=2)
    np.testing.assert_array_equal(
        resize(image, (target, 1), "nearest", "stretch"),
        by_keras(image, (target, 1), "nearest", "stretch"),
    )


def test_an_image_of_the_right_size_stays_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for interpolation in INTERPOLATIONS:
        np.testing.assert_array_equal(resize(image, (20, 30), interpolation, "stretch"), image)


@settings(max_examples=60, deadline=None)
@given(
    height=sides,
    width=sides,
    size=st.tuples(sides, sides),
    interpolation=st.sampled_from(INTERPOLATIONS),
    mode=st.sampled_from(MODES),
    antialias=st.booleans(),
)
def test_the_products_are_the_resize(
    height: int, width: int, size: tuple[int, int], interpolation: str, mode: str, antialias: bool
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.float32)
    rows, columns = matrices((height, width), size, interpolation, mode, antialias)
    by_products = np.einsum("ah,hwc,bw->abc", rows, image, columns, optimize=True)
    one_by_one = resize(image, size, interpolation, mode, antialias)
    np.testing.assert_allclose(by_products, one_by_one, atol=2e-3)

"""Images that are resized one by one are resized as the graph does it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.resize import resize

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
MODES = ("stretch", "crop", "pad")

sides = st.integers(1, 70)


def by_keras(image: np.ndarray, size: tuple[int, int], interpolation: str, mode: str) -> np.ndarray:
    layer = keras.layers.Resizing(
        *size,
        interpolation=interpolation,
        crop_to_aspect_ratio=mode == "crop",
        pad_to_aspect_ratio=mode == "pad",
    )
    return np.asarray(layer(image.astype(np.float32)[None]))[0]


@settings(max_examples=150, deadline=None)
@given(
    height=sides,
    width=sides,
    size=st.tuples(sides, sides),
    interpolation=st.sampled_from(INTERPOLATIONS),
    mode=st.sampled_from(MODES),
    seed=st.integers(0, 9),
)
def test_it_is_what_keras_gives(
    height: int, width: int, size: tuple[int, int], interpolation: str, mode: str, seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    ours = resize(image, size, interpolation, mode)
    assert ours.dtype == np.float32
    assert ours.shape == (*size, 3)
    theirs = by_keras(image, size, interpolation, mode)
    if interpolation == "nearest":
        # Where a centre falls on an edge, float32 there and float64 here may differ by one pixel.
        assert (ours != theirs).any(axis=(1, 2)).mean() <= 0.1 or min(size) < 10
    else:
        np.testing.assert_allclose(ours, theirs, atol=0.02)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_a_photograph(interpolation: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (375, 500, 3), dtype=np.uint8)
    for mode in MODES:
        ours = resize(image, (224, 224), interpolation, mode)
        np.testing.assert_allclose(
            ours, by_keras(image, (224, 224), interpolation, mode), atol=0.02
        )


def test_an_image_of_the_right_size_stays_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for interpolation in INTERPOLATIONS:
        np.testing.assert_array_equal(resize(image, (20, 30), interpolation, "stretch"), image)

"""Images are resized in the graph as the pass resizes them."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from classifiers.mount.images import images_seen
from features.resize import resize
from features.views import see

from .conftest import EMBEDDED

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


@pytest.mark.parametrize("any_size", [False, True])
@pytest.mark.parametrize("mode", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_images_of_one_size_and_of_any(interpolation: str, mode: str, any_size: bool) -> None:
    for size, antialias, view in (((41, 30), True, "mirror"), ((12, 19), False, "identity")):
        images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
        spec = replace(
            EMBEDDED, size=(20, 24), interpolation=interpolation, resize=mode, antialias=antialias
        )
        inputs = keras.Input((None, None, 3) if any_size else (*size, 3))
        outputs = images_seen(inputs, view, None if any_size else size, spec)
        ours = np.asarray(keras.Model(inputs, outputs)(images.astype(np.float32)))
        wanted = np.stack(
            [
                resize(image, spec.size, interpolation, mode, antialias)
                for image in see(view, images, ["", ""])
            ]
        )
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=2e-3)

"""Images are resized in the graph as the pass resizes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import openvino
import pytest

from classifiers.mount.images import images_seen
from classifiers.mount.trunks import rounded
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


def test_features_are_rounded_as_float16_keeps_them_by_openvino_too(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(50, 300)) * np.exp(generator.uniform(-6, 6, (50, 300)))
    values = np.concatenate([values, np.zeros((1, 300))]).astype(np.float32)
    kept = values.astype(np.float16).astype(np.float32)
    given = keras.Input((300,))
    model = keras.Model(given, rounded(given))
    # Below the least normal number of float16 it keeps more digits.
    assert np.asarray(model(values)) == pytest.approx(kept, rel=0, abs=3e-8)
    model.export(str(tmp_path / "model.xml"), format="openvino", verbose=False)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(tmp_path / "model.xml", "CPU", settings)
    assert np.asarray(compiled(values)[0]) == pytest.approx(kept, rel=0, abs=3e-8)

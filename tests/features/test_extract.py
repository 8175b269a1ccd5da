"""The pass, on small real runs: its values are those of Keras' own steps."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import features
from features.backbones.build import build_backbone
from features.backbones.pooled import preprocess
from features.backbones.spec import BackboneSpec
from features.cache import BLOCK
from features.cache.join import join
from features.datasets import DatasetSpec
from features.errors import UserError
from features.files import fingerprint
from features.spec import feature_spec, specs_of
from features.views import see

from .conftest import BACKBONE, Run, write_arrays

STORED = {"rtol": 2e-3, "atol": 2e-3}
"""float16 keeps eleven bits."""


def reference(images: np.ndarray, backbone: BackboneSpec, spatial: bool = False) -> np.ndarray:
    """The last layer by Keras' own steps, one after the other."""
    model = build_backbone(backbone, None)
    resize = keras.layers.Resizing(*backbone.size, interpolation=backbone.interpolation)
    pixels = np.asarray(resize(images.astype(np.float32)))
    activations = model.predict(np.asarray(preprocess(pixels, backbone.preprocessing)), verbose=0)
    kept: np.ndarray = activations if spatial else activations.mean(axis=(1, 2))
    return kept


def last_layer(path: Path, split: str = "train", view: str = "identity") -> np.ndarray:
    with features.open(path) as file:
        return file.array(split, view, file.layers[-1])


@pytest.mark.parametrize("preprocessing", ["tf", "caffe"])
def test_features_are_those_of_resize_then_preprocessing_then_backbone(
    tmp_path: Path, run: Run, preprocessing: str
) -> None:
    backbone = replace(BACKBONE, preprocessing=preprocessing)
    path, images = write_arrays(tmp_path)
    output = run(path, backbone)
    ours, mirrored = last_layer(output), last_layer(output, view="mirror")
    np.testing.assert_allclose(ours, reference(images, backbone), **STORED)
    np.testing.assert_allclose(mirrored, reference(images[:, :, ::-1], backbone), **STORED)
    assert not np.allclose(ours, mirrored, atol=0.05)


def test_an_augmented_view_is_that_of_the_augmented_images(tmp_path: Path, run: Run) -> None:
    path, images = write_arrays(tmp_path)
    output = run(path, replace(BACKBONE, views=("identity", "augmented-4")))
    with features.open(output) as file:
        seen = see("augmented-4", images, file.ids("train"))
    ours = last_layer(output, view="augmented-4")
    np.testing.assert_allclose(ours, reference(np.asarray(seen), BACKBONE), **STORED)
    assert not np.allclose(ours, last_layer(output), atol=0.05)


def test_a_layer_is_kept_unpooled_on_request_and_averages_to_the_pooled_one(
    tmp_path: Path, run: Run
) -> None:
    path, images = write_arrays(tmp_path)
    with features.open(run(path, replace(BACKBONE, spatial=("last",), views=("identity",)))) as f:
        (name,) = f.spatial
        assert name == f"spatial/{f.layers[-1]}"
        unpooled = f.array("train", "identity", name)
        pooled = f.array("train", "identity", f.layers[-1])
    np.testing.assert_allclose(unpooled, reference(images, BACKBONE, spatial=True), **STORED)
    np.testing.assert_allclose(unpooled.astype(np.float32).mean(axis=(1, 2)), pooled, **STORED)


def test_a_layer_that_the_backbone_has_not_is_answered_with_those_it_has(
    tmp_path: Path, run: Run
) -> None:
    path, _ = write_arrays(tmp_path)
    with pytest.raises(UserError, match=r"no layer block_99 .*stem_out"):
        run(path, replace(BACKBONE, spatial=("block_99",)))


def test_float32_on_request_keeps_what_float16_rounds(tmp_path: Path, run: Run) -> None:
    path, images = write_arrays(tmp_path)
    ours = last_layer(run(path, replace(BACKBONE, dtype="float32")))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, reference(images, BACKBONE), rtol=1e-4, atol=1e-4)


def test_more_images_than_a_block_and_a_last_batch_that_is_not_full(
    tmp_path: Path, run: Run
) -> None:
    path, images = write_arrays(tmp_path, train=BLOCK + 37)
    output = run(path)
    with features.open(output) as file:
        assert file.labels("train").tolist() == [i % 2 for i in range(BLOCK + 37)]
    ours = last_layer(output)
    assert len(ours) == BLOCK + 37
    np.testing.assert_allclose(ours[-40:], reference(images[-40:], BACKBONE), **STORED)


def folder(tmp_path: Path, images: np.ndarray, sizes: list[tuple[int, int]] | None) -> Path:
    for i, image in enumerate(images):
        place = tmp_path / "folder" / ("a" if i % 2 else "b") / f"{i:03}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image)
        (picture.resize(sizes[i % len(sizes)]) if sizes else picture).save(place)
    return tmp_path / "folder"


def test_a_folder_gives_what_the_same_images_give_as_arrays(tmp_path: Path, run: Run) -> None:
    path, images = write_arrays(tmp_path)
    from_array = last_layer(run(path))
    with features.open(run(folder(tmp_path, images, None))) as file:
        for split in ("train", "test"):
            layer = file.array(split, "identity", file.layers[-1])
            for name, values in zip(file.ids(split), layer, strict=True):
                np.testing.assert_allclose(values, from_array[int(Path(name).stem)], **STORED)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_further_test_set_gives_features_of_its_test_images_only(
    tmp_path: Path, run: Run, parts: int
) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
    path = tmp_path / "further.npz"
    np.savez(path, x_test=images, y_test=np.full(40, 3))
    made = [run(path, test=1.0, parts=(part, parts)) for part in range(parts)]
    output = made[0]
    if parts > 1:
        output = made[0].parent.with_suffix("")
        join(output, parts)
    with features.open(output) as file:
        assert file.splits == ["test"]
        assert file.classes == ["3"]
        assert file.labels("test").tolist() == [0] * 40
        assert file.ids("test")[-1] == "test/39"
        assert file.record["dataset"]["images"] == {"test": 40}
    np.testing.assert_allclose(last_layer(output, "test"), reference(images, BACKBONE), **STORED)


def test_a_further_test_set_may_be_a_folder(tmp_path: Path, run: Run) -> None:
    _, images = write_arrays(tmp_path)
    with features.open(run(folder(tmp_path, images[:1], None), test=1.0)) as file:
        assert file.splits == ["test"]
        assert file.ids("test") == ["b/000.png"]
        ours = file.array("test", "identity", file.layers[-1])
    np.testing.assert_allclose(ours, reference(images[:1], BACKBONE), **STORED)


def test_images_of_different_sizes_are_each_resized_like_one_alone(
    tmp_path: Path, run: Run
) -> None:
    _, images = write_arrays(tmp_path)
    place = folder(tmp_path, images, [(20, 12), (31, 40), (64, 64)])
    output = run(place)
    with features.open(output) as file:
        name = file.ids("train")[0]
    alone = np.asarray(Image.open(next(place.rglob(Path(name).name))))[None]
    np.testing.assert_allclose(last_layer(output)[0], reference(alone, BACKBONE)[0], **STORED)


def wide(tmp_path: Path, images: np.ndarray, name: str) -> Path:
    path = tmp_path / name
    labels = np.arange(len(images)) % 2
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return path


def test_crop_sees_the_middle_only_and_pad_sees_all(tmp_path: Path, run: Run) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 16, 32, 3), dtype=np.uint8)
    other_sides = images.copy()
    other_sides[:, :, :8] = 0
    other_sides[:, :, 24:] = 0
    for resize, same in (("crop", True), ("pad", False), ("stretch", False)):
        backbone = replace(BACKBONE, resize=resize)
        one = last_layer(run(wide(tmp_path, images, "one.npz"), backbone))
        other = last_layer(run(wide(tmp_path, other_sides, "b.npz"), backbone))
        assert np.array_equal(one, other) == same, resize


def test_pad_keeps_the_aspect_ratio_with_black(tmp_path: Path, run: Run) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 16, 32, 3), dtype=np.uint8)
    square = np.zeros((4, 32, 32, 3), np.uint8)
    square[:, 8:24] = images
    one = last_layer(run(wide(tmp_path, images, "one.npz"), replace(BACKBONE, resize="pad")))
    other = last_layer(run(wide(tmp_path, square, "b.npz"), BACKBONE))
    np.testing.assert_allclose(one, other, **STORED)


def test_an_input_that_is_not_square(tmp_path: Path, run: Run) -> None:
    path, images = write_arrays(tmp_path)
    backbone = replace(BACKBONE, size=(24, 40))
    np.testing.assert_allclose(
        last_layer(run(path, backbone)), reference(images, backbone), **STORED
    )


def test_chunks_and_reads_that_are_small_give_the_same(
    tmp_path: Path, run: Run, anew: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, images = write_arrays(tmp_path, train=70)
    at_once = last_layer(run(path))
    place = folder(tmp_path, images, [(20, 12), (31, 40), (64, 64)])
    folder_at_once = last_layer(run(place))
    anew()
    monkeypatch.setattr("features.extract.READ_BYTES", 3 * 64 * 64 * 5)
    np.testing.assert_array_equal(last_layer(run(path)), at_once)
    np.testing.assert_array_equal(last_layer(run(place)), folder_at_once)
    anew()
    monkeypatch.setattr("features.extract.GRAPH_PIXELS", 10)
    np.testing.assert_allclose(last_layer(run(path)), at_once, **STORED)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory: Linux only")
def test_a_folder_of_large_photographs_streams(tmp_path: Path) -> None:
    """Together they take 3.6 GB at their own size; the pass must not."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    place = tmp_path / "photographs"
    for name in ("a", "b"):
        (place / name).mkdir(parents=True)
        noise.resize((2000, 1500)).save(place / name / "000.jpg")
        for i in range(1, 200):
            shutil.copy(place / name / "000.jpg", place / name / f"{i:03}.jpg")
    script = f"""
import re, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import run_pass
run_pass(Path({str(tmp_path)!r}), Path({str(tmp_path)!r}), Path({str(place)!r}))
# Not getrusage: there a process starts with the peak of the one that started it.
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[-1]) * 1024 < 1.5e9


def test_the_record_says_what_ran(tmp_path: Path, run: Run) -> None:
    path, _ = write_arrays(tmp_path)
    with features.open(run(path, engine="tensorflow")) as file:
        record = file.record
        assert file.spec["backbone"]["architecture"] == "Embedded"
        assert specs_of(file.spec)[1] == BACKBONE
    assert record["dataset"]["images"] == {"train": 30, "test": 10}
    assert (record["engine"], record["precision"]) == ("tensorflow", "float32")
    assert set(record["seconds"]) == {"start", "read", "compute", "write", "total"}
    assert record["computed"] == 80
    assert 1e8 < record["peak_memory_bytes"] < 1e11
    assert record["channels"]["stem_out"] == 16
    assert len(record["backbone"]["weights_sha256"]) == 64
    assert record["versions"]["keras"] == keras.__version__


def test_progress_and_the_limit_reach_the_log(
    tmp_path: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = write_arrays(tmp_path)
    with caplog.at_level(logging.DEBUG, logger="headstart"):
        run(path)
    assert "40/40 images" in caplog.text
    assert "images/s" in caplog.text
    assert "the limit was" in caplog.text


def test_features_that_are_not_finite_are_refused(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(spec: BackboneSpec, weights: Path | None, policy: str) -> keras.Model:
        model = build_backbone(spec, weights, policy)
        model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
        return model

    monkeypatch.setattr("features.backbones.build.build_backbone", broken)
    path, _ = write_arrays(tmp_path)
    with pytest.raises(UserError, match="not finite"):
        run(path, engine="tensorflow")
    assert not list((tmp_path / "out").glob("*.h5")), "nothing half-written passes for whole"


def test_the_spec_covers_what_decides_a_value() -> None:
    dataset = DatasetSpec(source="digits", content="c", test=0.2, seed=0)
    base = fingerprint(feature_spec(dataset, BACKBONE))
    for field, value in asdict(BACKBONE).items():
        changed = replace(BACKBONE, **{field: "other" if isinstance(value, str) else (1, 2)})
        assert fingerprint(feature_spec(dataset, changed)) != base, field
    for field in ("content", "seed", "limit", "test", "source"):
        changed_data = replace(dataset, **{field: "other"})
        assert fingerprint(feature_spec(changed_data, BACKBONE)) != base, field

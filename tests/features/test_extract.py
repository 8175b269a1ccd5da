"""The pass, on small real runs."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import features
from features.backbones.build import build_backbone
from features.backbones.pooled import preprocess
from features.backbones.registry import ARCHITECTURES
from features.backbones.spec import BackboneSpec
from features.cache import BLOCK
from features.datasets import DatasetSpec, identify, prepare
from features.errors import UserError
from features.extract import extract
from features.files import fingerprint
from features.spec import feature_spec, parts_of

BACKBONE = BackboneSpec(
    architecture="Embedded",
    alpha=1.0,
    size=(32, 32),
    resize="stretch",
    interpolation="bilinear",
    preprocessing="tf",
    weights="embedded",
    views=("identity", "mirror"),
)


def arrays(tmp_path: Path, train: int = 30, side: int = 12) -> tuple[Path, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (train + 10, side, side, 3), dtype=np.uint8)
    labels = np.arange(train + 10) % 2
    path = tmp_path / "images.npz"
    np.savez(
        path,
        x_train=images[:train],
        y_train=labels[:train],
        x_test=images[train:],
        y_test=labels[train:],
    )
    return path, images[:train]


def run(tmp_path: Path, source: str, path: Path, backbone: BackboneSpec) -> Path:
    content = identify(source, path, tmp_path / "memo.json")
    dataset = DatasetSpec(source=source, content=content, test=0.2, seed=0)
    dataset_file = tmp_path / f"{source}.h5"
    prepare(dataset, path, dataset_file)
    spec = feature_spec(dataset, backbone)
    output = tmp_path / "out" / f"{source}-{fingerprint(spec)[:8]}.h5"
    extract(dataset_file, path, spec, None, output)
    return output


def reference(images: np.ndarray, backbone: BackboneSpec, layer: str = "") -> np.ndarray:
    """A layer, the last where none is named, by Keras' own steps, one after the other."""
    model = build_backbone(backbone, None)
    if layer:
        outputs = {operation.name: operation.output for operation in model.operations}
        model = keras.Model(model.inputs, outputs[layer])
    resize = keras.layers.Resizing(*backbone.size, interpolation=backbone.interpolation)
    pixels = np.asarray(resize(images.astype(np.float32)))
    activations = model.predict(np.asarray(preprocess(pixels, backbone.preprocessing)), verbose=0)
    pooled: np.ndarray = activations.mean(axis=(1, 2))
    return pooled


@pytest.mark.parametrize("preprocessing", ["tf", "caffe"])
def test_features_are_those_of_resize_then_preprocessing_then_backbone(
    tmp_path: Path, preprocessing: str
) -> None:
    backbone = replace(BACKBONE, preprocessing=preprocessing)
    path, images = arrays(tmp_path)
    with features.open(run(tmp_path, "npz", path, backbone)) as file:
        ours = file.array("train", "identity", file.layers[-1])
        mirrored = file.array("train", "mirror", file.layers[-1])
    expected = reference(images, backbone)
    # float16 keeps eleven bits.
    np.testing.assert_allclose(ours, expected, rtol=2e-3, atol=2e-3)
    flipped = reference(images[:, :, ::-1], backbone)
    np.testing.assert_allclose(mirrored, flipped, rtol=2e-3, atol=2e-3)
    assert not np.allclose(ours, mirrored, atol=0.05)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_pass_through_every_backbone_is_keras_own_steps(tmp_path: Path, name: str) -> None:
    architecture = ARCHITECTURES[name]
    backbone = replace(
        BACKBONE,
        architecture=name,
        alpha=0.35 if architecture.takes_alpha else 1.0,
        size=(architecture.minimum_size, architecture.minimum_size),
        preprocessing=architecture.preprocessing,
        weights="random",
        views=("identity",),
    )
    path, images = arrays(tmp_path, train=6)
    with features.open(run(tmp_path, "npz", path, backbone)) as file:
        kept = {layer: file.array("train", "identity", layer) for layer in file.layers}
    # Random weights can make deep activations smaller than float16's smallest step.
    step = 6e-8
    for layer in (next(iter(kept)), list(kept)[-1]):
        expected = reference(images, backbone, layer)
        np.testing.assert_allclose(
            kept[layer], expected, rtol=1e-3, atol=step + 1e-3 * expected.std()
        )
    assert len(kept) >= 4


def test_more_images_than_a_block_and_a_last_batch_that_is_not_full(tmp_path: Path) -> None:
    path, images = arrays(tmp_path, train=BLOCK + 37)
    with features.open(run(tmp_path, "npz", path, BACKBONE)) as file:
        ours = file.array("train", "identity", file.layers[-1])
        assert len(ours) == BLOCK + 37
        assert file.labels("train").tolist() == [i % 2 for i in range(BLOCK + 37)]
    expected = reference(images[-40:], BACKBONE)
    np.testing.assert_allclose(ours[-40:], expected, rtol=2e-3, atol=2e-3)


def folder(tmp_path: Path, images: np.ndarray, sizes: list[tuple[int, int]] | None) -> Path:
    for i, image in enumerate(images):
        place = tmp_path / "folder" / ("a" if i % 2 else "b") / f"{i:03}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image)
        (picture.resize(sizes[i % len(sizes)]) if sizes else picture).save(place)
    return tmp_path / "folder"


def test_a_folder_gives_what_the_same_images_give_as_arrays(tmp_path: Path) -> None:
    path, images = arrays(tmp_path)
    with features.open(run(tmp_path, "npz", path, BACKBONE)) as file:
        from_array = file.array("train", "identity", file.layers[-1])
    with features.open(run(tmp_path, "folder", folder(tmp_path, images, None), BACKBONE)) as file:
        for split in ("train", "test"):
            layer = file.array(split, "identity", file.layers[-1])
            for name, values in zip(file.ids(split), layer, strict=True):
                number = int(Path(name).stem)
                np.testing.assert_array_equal(values, from_array[number])


def test_images_of_different_sizes_are_each_resized_like_one_alone(tmp_path: Path) -> None:
    _, images = arrays(tmp_path)
    place = folder(tmp_path, images, [(20, 12), (31, 40), (64, 64)])
    with features.open(run(tmp_path, "folder", place, BACKBONE)) as file:
        name = file.ids("train")[0]
        ours = file.array("train", "identity", file.layers[-1])[0]
    alone = np.asarray(Image.open(next(place.rglob(Path(name).name))))[None]
    np.testing.assert_allclose(ours, reference(alone, BACKBONE)[0], rtol=2e-3, atol=2e-3)


def wide(tmp_path: Path, images: np.ndarray, name: str) -> Path:
    path = tmp_path / name
    labels = np.arange(len(images)) % 2
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return path


def last_layer(path: Path) -> np.ndarray:
    with features.open(path) as file:
        return file.array("train", "identity", file.layers[-1])


def test_crop_sees_the_middle_only_and_pad_sees_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 16, 32, 3), dtype=np.uint8)
    other_sides = images.copy()
    other_sides[:, :, :8] = 0
    other_sides[:, :, 24:] = 0
    for resize, same in (("crop", True), ("pad", False), ("stretch", False)):
        backbone = replace(BACKBONE, resize=resize)
        one = last_layer(run(tmp_path, "npz", wide(tmp_path, images, "one.npz"), backbone))
        other = last_layer(run(tmp_path, "npz", wide(tmp_path, other_sides, "b.npz"), backbone))
        assert np.array_equal(one, other) == same, resize


def test_pad_keeps_the_aspect_ratio_with_black(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 16, 32, 3), dtype=np.uint8)
    square = np.zeros((4, 32, 32, 3), np.uint8)
    square[:, 8:24] = images
    padded = replace(BACKBONE, resize="pad")
    one = last_layer(run(tmp_path, "npz", wide(tmp_path, images, "one.npz"), padded))
    other = last_layer(run(tmp_path, "npz", wide(tmp_path, square, "b.npz"), BACKBONE))
    np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3)


def test_an_input_that_is_not_square(tmp_path: Path) -> None:
    path, images = arrays(tmp_path)
    backbone = replace(BACKBONE, size=(24, 40))
    ours = last_layer(run(tmp_path, "npz", path, backbone))
    np.testing.assert_allclose(ours, reference(images, backbone), rtol=2e-3, atol=2e-3)


def test_chunks_and_reads_that_are_small_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import features.extract as module

    path, images = arrays(tmp_path, train=70)
    at_once = last_layer(run(tmp_path, "npz", path, BACKBONE))
    place = folder(tmp_path, images, [(20, 12), (31, 40), (64, 64)])
    folder_at_once = last_layer(run(tmp_path, "folder", place, BACKBONE))
    monkeypatch.setattr(module, "CHUNK", 16)
    monkeypatch.setattr(module, "READ_BYTES", 3 * 64 * 64 * 5)
    np.testing.assert_array_equal(last_layer(run(tmp_path, "npz", path, BACKBONE)), at_once)
    again = last_layer(run(tmp_path, "folder", place, BACKBONE))
    np.testing.assert_array_equal(again, folder_at_once)
    monkeypatch.setattr(module, "GRAPH_PIXELS", 10)
    outside = last_layer(run(tmp_path, "npz", path, BACKBONE))
    np.testing.assert_allclose(outside, at_once, rtol=2e-3, atol=2e-3)


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
from test_extract import BACKBONE, run
run(Path({str(tmp_path)!r}), "folder", Path({str(place)!r}), BACKBONE)
# Not getrusage: there a process starts with the peak of the one that started it.
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[-1]) * 1024 < 1.5e9


def test_the_record_says_what_ran(tmp_path: Path) -> None:
    path, _ = arrays(tmp_path)
    with features.open(run(tmp_path, "npz", path, BACKBONE)) as file:
        record = file.record
        assert file.spec["backbone"]["architecture"] == "Embedded"
        assert parts_of(file.spec)[1] == BACKBONE
    assert record["dataset"]["images"] == {"train": 30, "test": 10}
    assert record["precision"] == "float32"
    assert set(record["seconds"]) == {"start", "read", "compute", "write", "total"}
    assert record["channels"]["stem_out"] == 16
    assert len(record["backbone"]["weights_sha256"]) == 64
    assert record["versions"]["keras"] == keras.__version__


def test_progress_reaches_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, _ = arrays(tmp_path)
    with caplog.at_level(logging.DEBUG, logger="headstart"):
        run(tmp_path, "npz", path, BACKBONE)
    assert "40/40 images" in caplog.text
    assert "images/s" in caplog.text


def test_features_that_are_not_finite_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import features.extract as module

    def broken(spec: BackboneSpec, weights: Path | None) -> keras.Model:
        model = build_backbone(spec, weights)
        model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
        return model

    monkeypatch.setattr(module, "build_backbone", broken)
    path, _ = arrays(tmp_path)
    with pytest.raises(UserError, match="not finite"):
        run(tmp_path, "npz", path, BACKBONE)
    assert not list((tmp_path / "out").glob("*")), "nothing half-written is left"


def test_the_spec_covers_what_decides_a_value() -> None:
    dataset = DatasetSpec(source="digits", content="c", test=0.2, seed=0)
    base = fingerprint(feature_spec(dataset, BACKBONE))
    for field, value in asdict(BACKBONE).items():
        changed = replace(BACKBONE, **{field: "other" if isinstance(value, str) else (1, 2)})
        assert fingerprint(feature_spec(dataset, changed)) != base, field
    for field in ("content", "seed", "limit", "test", "source"):
        changed_data = replace(dataset, **{field: "other"})
        assert fingerprint(feature_spec(changed_data, BACKBONE)) != base, field

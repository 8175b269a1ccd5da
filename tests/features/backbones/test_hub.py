"""Presets of KerasHub give their own features on their own preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from features.backbones.build import build_backbone
from features.backbones.hub import fetch_preset
from features.backbones.pooled import pooled_model
from features.backbones.preset import preset_digest, read_preset
from features.backbones.spec import BackboneSpec
from features.cache.layout import SPATIAL
from features.engines import FLOAT32_TOLERANCE, prepare
from features.engines.graph import Graph
from features.errors import UserError

hub = pytest.importorskip("keras_hub", reason="the extra hub is not installed")

SIDE, PATCH = 32, 8
GRID = SIDE // PATCH
SMALL: dict[str, Any] = {"num_layers": 8, "num_heads": 2, "hidden_dim": 16}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 40, 36, 3), dtype=np.uint8)


def image(**options: Any) -> dict[str, Any]:
    return {"image_shape": (SIDE, SIDE, 3), **options}


def tower(module: Any, name: str) -> Any:
    """An image and a text encoder in one, as CLIP and SigLIP have them."""
    vision = getattr(module, f"{name}VisionEncoder")(
        **image(patch_size=PATCH, intermediate_dim=32), **SMALL
    )
    text = getattr(module, f"{name}TextEncoder")(
        vocabulary_size=64,
        embedding_dim=16,
        intermediate_dim=32,
        max_sequence_length=16,
        **SMALL,
        **({"projection_dim": 16} if name == "SigLIP" else {}),
    )
    options = {"projection_dim": 16} if name == "CLIP" else {}
    return getattr(module, f"{name}Backbone")(vision, text, **options)


BACKBONES: dict[str, Callable[[Any], Any]] = {
    "ViT": lambda m: m.ViTBackbone(**image(patch_size=PATCH, mlp_dim=32), **SMALL),
    "DeiT": lambda m: m.DeiTBackbone(**image(patch_size=PATCH, intermediate_dim=32), **SMALL),
    "DINOV2": lambda m: m.DINOV2Backbone(
        **image(patch_size=PATCH, intermediate_dim=32, num_register_tokens=2),
        position_embedding_shape=(64, 64, 3),
        **SMALL,
    ),
    "DINOV3": lambda m: m.DINOV3Backbone(patch_size=PATCH, intermediate_dim=32, **SMALL),
    "SigLIP": lambda m: tower(m, "SigLIP"),
    "CLIP": lambda m: tower(m, "CLIP"),
    "ResNet": lambda m: m.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 128],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    ),
}
TRANSFORMERS = [name for name in BACKBONES if name != "ResNet"]
CLASS_TOKEN = [name for name in TRANSFORMERS if name != "SigLIP"]


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("presets")

    def preset(name: str) -> Path:
        if not (folder / name).exists():
            keras.utils.clear_session()
            keras.utils.set_random_seed(0)
            BACKBONES[name](hub.models).save_to_preset(str(folder / name))
            converter = getattr(hub.layers, f"{name}ImageConverter")(
                image_size=(SIDE, SIDE),
                scale=[0.02, 0.019, 0.018],
                offset=[-2.0, -2.1, -2.2],
                interpolation="bicubic",
                antialias=True,
            )
            converter.save_to_preset(str(folder / name))
        return folder / name

    return preset


def spec_of(folder: Path, **changes: Any) -> BackboneSpec:
    preset = read_preset(folder)
    fields = {
        "size": preset.size,
        "resize": preset.resize,
        "interpolation": preset.interpolation,
        "antialias": preset.antialias,
    }
    return BackboneSpec(
        architecture="hub",
        alpha=1.0,
        preprocessing="raw",
        weights="0" * 64,
        views=("identity",),
        dtype="float32",
        precision="exact",
        **{**fields, **changes},
    )


def own(folder: Path) -> np.ndarray:
    """What KerasHub itself gives for the images, tokens or places, (images, ..., channels)."""
    fixed = {} if read_preset(folder).built_for == (SIDE, SIDE) else image()
    backbone = hub.models.Backbone.from_preset(str(folder), **fixed)
    vision = getattr(backbone, "vision_encoder", backbone)
    pixels = hub.layers.ImageConverter.from_preset(str(folder))(IMAGES.astype(np.float32))
    given = {next(iter(vision.input)): pixels} if isinstance(vision.input, dict) else pixels
    out = vision(given, training=False)
    return np.asarray(out["sequence_output"] if isinstance(out, dict) else out)


def close(ours: Any, theirs: np.ndarray) -> None:
    difference = np.linalg.norm(np.asarray(ours) - theirs)
    assert difference <= FLOAT32_TOLERANCE * np.linalg.norm(theirs)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_features_are_those_of_keras_hub(name: str, presets: Callable[[str], Path]) -> None:
    folder = presets(name)
    spec = spec_of(folder)
    model, names = pooled_model(build_backbone(spec, folder), spec, IMAGES.shape[1:3])
    layers = dict(zip(names, model(IMAGES, training=False), strict=True))
    theirs = own(folder)
    if name == "ResNet":
        close(layers[names[-1]], theirs.mean(axis=(1, 2)))
    elif name in CLASS_TOKEN:
        close(layers["normalized_class"], theirs[:, 0])
        close(layers["normalized"], theirs[:, -GRID * GRID :].mean(axis=1))
        assert names[-1] == "normalized_class"
    else:
        close(layers["pooled"], theirs)
        assert names[-1] == "pooled"
    assert len(names) >= 3, "several depths"


@pytest.mark.parametrize("name", ["ViT", "DINOV2", "SigLIP", "ResNet"])
def test_openvino_gives_them_too(name: str, presets: Callable[[str], Path], tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    folder = presets(name)
    spec = spec_of(folder)
    prepared = prepare("openvino", Graph(spec, folder, IMAGES.shape[1:3], 0), tmp_path, 2)
    compiled = prepared.compile(list(prepared.layers))
    model, _ = pooled_model(build_backbone(spec, folder), spec, IMAGES.shape[1:3])
    for ours, theirs in zip(
        next(iter(compiled.run([IMAGES]))), model(IMAGES, training=False), strict=True
    ):
        close(ours, np.asarray(theirs))


def test_depths_are_quarters_and_every_block_counts_once(presets: Callable[[str], Path]) -> None:
    folder = presets("ViT")
    backbone = build_backbone(spec_of(folder), folder)
    names = [output._keras_history.operation.name for output in backbone.outputs]
    blocks = [f"transformer_block_{number}" for number in (2, 4, 6)]
    assert names == [name + token for name in [*blocks, "normalized"] for token in ("", "_class")]
    weights = hub.models.Backbone.from_preset(str(folder)).count_params()
    assert backbone.count_params() == weights


def test_the_last_layer_unpooled_is_that_of_the_patches(presets: Callable[[str], Path]) -> None:
    folder = presets("ViT")
    spec = spec_of(folder, spatial=("last",))
    model, names = pooled_model(build_backbone(spec, folder), spec, IMAGES.shape[1:3])
    assert names[-1] == SPATIAL + "normalized"
    assert model.outputs[-1].shape == (None, GRID, GRID, SMALL["hidden_dim"])


def test_another_size_where_the_backbone_takes_it(presets: Callable[[str], Path]) -> None:
    folder = presets("DINOV2")
    backbone = build_backbone(spec_of(folder, size=(48, 48)), folder)
    assert backbone.outputs[0].shape[1:3] == (6, 6)
    with pytest.raises(UserError, match="cannot load this preset for images of 48x48"):
        build_backbone(spec_of(presets("ViT"), size=(48, 48)), presets("ViT"))


def test_a_preset_of_no_images_is_refused(tmp_path: Path, presets: Callable[[str], Path]) -> None:
    text = hub.models.BertBackbone(
        vocabulary_size=10, num_layers=1, num_heads=1, hidden_dim=4, intermediate_dim=4
    )
    text.save_to_preset(str(tmp_path))
    (tmp_path / "image_converter.json").write_text(
        (presets("ViT") / "image_converter.json").read_text()
    )
    with pytest.raises(UserError, match=r"cannot load|no backbone on images"):
        build_backbone(spec_of(tmp_path), tmp_path)


def test_a_preset_is_fetched_whole(tmp_path: Path, presets: Callable[[str], Path]) -> None:
    fetch_preset(str(presets("SigLIP")), tmp_path / "mine")
    assert read_preset(tmp_path / "mine") == read_preset(presets("SigLIP"))
    close(own(tmp_path / "mine"), own(presets("SigLIP")))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_is_no_preset_cannot_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the preset no_such_preset could not be had"):
        fetch_preset("no_such_preset", tmp_path / "mine")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["config.json", "image_converter.json", "model.weights.h5"])
def test_every_file_that_decides_is_in_the_digest(
    file: str, tmp_path: Path, presets: Callable[[str], Path]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for path in presets("ViT").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    before = preset_digest(folder, tmp_path / "memo.json")
    (folder / "metadata.json").write_text("{}")
    assert preset_digest(folder, tmp_path / "memo.json") == before
    with (folder / file).open("ab") as opened:
        opened.write(b" ")
    assert preset_digest(folder, tmp_path / "memo.json") != before

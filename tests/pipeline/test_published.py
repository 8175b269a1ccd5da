"""The published pipelines: what their studies say, and what would be done for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.load import load_study
from pipeline.study import Study

from .conftest import PUBLISHED, ROOT, copy_project, snakemake


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with a folder of images where one is wanted."""
    project = copy_project(tmp_path_factory.mktemp("published") / "headstart")
    for split in ("train", "test"):
        for name in ("apple_pie", "baklava"):
            folder = project / "data" / "food10" / split / name
            folder.mkdir(parents=True)
            for i in range(8):
                pixels = np.full((30, 40, 3), 20 * i, np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.jpg")
    return project


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_would_be_done_is_known_without_images_weights_or_network(
    project: Path, name: str
) -> None:
    result = snakemake(project, name, "--dry-run", "--quiet", "rules")
    assert result.returncode == 0, result.stderr
    study = study_of(project, name)
    seen = result.stdout + result.stderr
    runs = len(study.fine_tune) + len(study.heads) * len(study.backbones)
    assert f"head {runs:>{len(str(runs))}}".split() == next(
        line.split() for line in seen.splitlines() if line.startswith("head ")
    )


def test_a_folder_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "headstart")
    result = snakemake(project, "food101_vgg16", "--dry-run")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "data/food10: no such folder; put your images there, one subfolder a class" in (
        result.stderr
    )


def study_of(project: Path, name: str) -> Study:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        return load_study(Path("studies") / f"{name}.yaml")


SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "cifar10_inceptionresnetv2": {
        "heads.frozen": {
            "stack": [{"dense": 500}, {"dropout": 0.3}],
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "batch_size": 300,
            "epochs": 4,
            "standardise": False,
        },
        "fine_tune.finetuned": {
            "unfreeze": {"from": 633},
            "learning_rate": 1e-5,
            "epochs": 4,
            "head": "frozen",
            "batch_norm": "frozen",
        },
        "backbones.InceptionResNetV2": {"size": 299, "interpolation": "bilinear"},
    },
    "cifar10_resnet50": {
        "backbones.ResNet50": {"size": 64, "interpolation": "nearest"},
        "fine_tune.published": {
            "unfreeze": {"from": 143},
            "optimizer": "rmsprop",
            "learning_rate": 2e-5,
            "batch_size": 512,
            "epochs": 15,
            "monitor": "accuracy",
            "layers": ["spatial/last"],
        },
    },
    "cifar10_mobilenetv2": {
        "dataset": {"validation": 0.2},
        "backbones.published": {"size": 32, "preprocessing": "unit"},
        "backbones.sound": {"size": 32, "preprocessing": "own"},
        "heads.frozen": {"hidden": [128], "epochs": 10, "batch_size": 64},
        "fine_tune.finetuned": {
            "unfreeze": "all",
            "learning_rate": 1e-5,
            "epochs": 5,
            "batch_size": 64,
        },
    },
    "cifar10_densenet121": {
        "backbones.DenseNet121": {"size": 160, "resize": "pad"},
        "fine_tune.all_layers": {"unfreeze": "all"},
        "fine_tune.last_250": {"unfreeze": {"last": 250}},
        "fine_tune.from_100": {"unfreeze": {"from": 100}},
    },
    "food101_vgg16": {
        "dataset": {"validation": 0.15},
        "fine_tune.frozen": {
            "unfreeze": "none",
            "stack": [{"dense": 4096}, {"dense": 1072}, {"dropout": 0.2}],
            "batch_size": 64,
            "learning_rate": 1e-3,
            "epochs": 50,
            "patience": 10,
            "monitor": "loss",
            "augmentation": {
                "rotation": 90,
                "brightness": [0.1, 0.7],
                "shift": 0.5,
                "flip": "both",
                "fill": "nearest",
            },
        },
        "fine_tune.finetuned": {"unfreeze": {"last": 2}, "learning_rate": 1e-4, "head": None},
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_settings_are_as_published(project: Path, name: str) -> None:
    study = study_of(project, name)
    for place, wanted in SETTINGS[name].items():
        found: Any = study
        for key in place.split("."):
            found = found[key] if isinstance(found, dict) else getattr(found, key)
        assert {key: getattr(found, key) for key in wanted} == wanted, place


def test_published_figures_stand_in_the_studies(project: Path) -> None:
    figures = {}
    for name in PUBLISHED:
        published = study_of(project, name).published
        assert published is not None and published.remarks
        figures |= published.accuracy
    assert figures == {
        "frozen": 0.7324,
        "finetuned": 0.8152,
        "scratch": 0.5696,
        "published": 0.90,
        "all_layers": 0.90,
    }


def test_layers_are_where_the_studies_say() -> None:
    """The comments of the studies name the layers that Keras counts to."""
    import keras

    for name, architecture, count, layers in (
        ("cifar10_resnet50", "ResNet50", 175, {143: "conv5_block1_1_conv"}),
        ("cifar10_inceptionresnetv2", "InceptionResNetV2", 780, {633: "block8_1_ac"}),
        (
            "cifar10_densenet121",
            "DenseNet121",
            427,
            {100: "conv3_block7_2_conv", -250: "conv4_block6_0_relu"},
        ),
        ("food101_vgg16", "VGG16", 19, {-2: "block5_conv3", -1: "block5_pool"}),
    ):
        keras.utils.clear_session()
        model = getattr(keras.applications, architecture)(
            include_top=False, weights=None, input_shape=(75, 75, 3)
        )
        text = (ROOT / "studies" / f"{name}.yaml").read_text()
        assert len(model.layers) == count and f"{count} layers" in text
        for index, layer in layers.items():
            assert model.layers[index].name == layer and layer in text

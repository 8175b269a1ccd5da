"""The commands around an exported run, as a user calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from classifiers.export.folder import describe
from classifiers.export.forms import write_forms
from pipeline.cli import main

CLASSES = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that names the strongest colour."""
    folder = tmp_path_factory.mktemp("best")
    images = keras.Input((None, None, 3), dtype="uint8")
    resize = keras.layers.Resizing(6, 7, name="resize_1_identity")
    seen = keras.layers.GlobalAveragePooling2D()(resize(keras.ops.cast(images, "float32")))
    layer = keras.layers.Dense(3, activation="softmax")
    model = keras.Model(images, layer(seen))
    layer.set_weights([np.eye(3, dtype=np.float32) / 50, np.zeros(3)])
    model.save(folder / "model.keras")
    exported = describe(
        folder,
        ["model.keras"],
        made_of="",
        study="colours",
        run="net.head.0",
        head="logistic",
        classes=CLASSES,
        specs=[{"dataset": {}, "backbone": {}}],
    )
    write_forms(folder, exported, ["openvino"])
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(CLASSES):
        colour = tuple(250 if place == number else 0 for place in range(3))
        Image.new("RGB", (20 + number, 10), colour).save(tmp_path / f"{name}.png")
    return tmp_path


def test_predict_as_table_csv_and_json(
    folder: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form in ("table", "csv", "json"):
        assert main(["predict", str(folder), str(photos), "--format", form, "--top", "9"]) == 0
        lines = capsys.readouterr().out.splitlines()[1 if form == "csv" else 0 :]
        for line, name in zip(lines, sorted(CLASSES), strict=True):
            assert f"{name}.png" in line
            if form == "json":
                assert json.loads(line)["top"][0]["class"] == name
                assert len(json.loads(line)["top"]) == 3


def test_an_unreadable_file_is_told_of_and_the_rest_goes_on(
    folder: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "a.jpg").write_text("text")
    assert main(["predict", str(folder), str(photos)]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4
    assert "1 of 4 files could not be read" in err


def test_mistakes_have_no_traceback(
    folder: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong, said in (
        (["predict", "nowhere", "x.png"], "nowhere: no such file or folder"),
        (["predict", str(folder), "x.png"], "x.png: no such file or folder"),
        (["predict", str(photos), "x.png"], "no model.json, so no exported model"),
        (["serve", str(photos)], "no model.json, so no exported model"),
        (["export", str(photos), "--form", "tflite"], "no model.json, so no exported model"),
    ):
        assert main(wrong) == 1
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["predict", str(folder), str(photos), "--top", "0"])
    with pytest.raises(SystemExit):
        main(["serve", str(folder), "--port", "70000"])


def test_a_prediction_starts_without_tensorflow(folder: Path, photos: Path) -> None:
    code = (
        "import sys; from pipeline.cli import main; status = main(sys.argv[1:]);"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'jax', 'dask'} & set(sys.modules);"
        "assert not heavy, heavy; sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "predict", str(folder), str(photos)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_reader_that_has_enough_ends_it_in_peace(folder: Path, photos: Path) -> None:
    many = [str(photos / "red.png")] * 3000
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "predict", str(folder), *many],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert "red" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0

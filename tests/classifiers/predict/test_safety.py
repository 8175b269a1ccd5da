"""No file of an exported run has its code run, and none that was changed is believed."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.export.folder import describe
from classifiers.predict.model import load
from classifiers.store import write_json
from features.errors import UserError

PROBE = "probe"
SPECS: list[dict[str, Any]] = [{"dataset": {}, "backbone": {}}]


def folder_of(path: Path, names: list[str], **more: Any) -> Path:
    describe(
        path,
        names,
        made_of="",
        study="mine",
        run="net.head.0",
        head="logistic",
        classes=["a", "b"],
        specs=SPECS,
        **more,
    )
    return path


class Opens:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def model(path: Path) -> None:
    import keras

    images = keras.Input((None, None, 3), dtype="uint8")
    seen = keras.layers.GlobalAveragePooling2D()(keras.ops.cast(images, "float32"))
    keras.Model(images, keras.layers.Dense(2, activation="softmax")(seen)).save(path)


def test_a_layer_of_code_is_refused(tmp_path: Path) -> None:
    import keras

    images = keras.Input((None, None, 3), dtype="uint8")
    probe = str(tmp_path / PROBE)
    code = keras.layers.Lambda(lambda x: [Path(probe).mkdir(), x][1], output_shape=(2,))
    outputs = code(images)
    keras.Model(images, outputs).save(tmp_path / "model.keras")
    with pytest.raises(UserError, match=r"holds code"):
        load(folder_of(tmp_path, ["model.keras"]))
    assert not (tmp_path / PROBE).exists()


@pytest.mark.parametrize("name", ["head.skops", "head.pkl", "head.keras"])
def test_a_pickle_is_never_read(tmp_path: Path, name: str) -> None:
    model(tmp_path / "features.keras")
    (tmp_path / name).write_bytes(pickle.dumps(Opens(tmp_path / PROBE)))
    fitted = {"head": name, "layers": "last", "view": "identity", "root": False}
    write_json(tmp_path / "fit.json", fitted | {"pca": None, "whiten": False})
    with pytest.raises(UserError, match=r"head"):
        load(folder_of(tmp_path, ["features.keras", "fit.json", name]))
    assert not (tmp_path / PROBE).exists()


def test_a_pickle_inside_an_archive_of_arrays(tmp_path: Path) -> None:
    """`validation.npz` and `projection.npz` are numpy's, which may hold pickles."""
    from classifiers.calibration import read_validated
    from classifiers.projection import read_projection

    evil = np.array([Opens(tmp_path / PROBE)], dtype=object)
    for name, read in (
        ("validation.npz", lambda: read_validated(tmp_path, probabilities=False)),
        ("projection.npz", lambda: read_projection(tmp_path)),
    ):
        arrays = dict.fromkeys(("ids", "labels", "scores", "mean", "matrix"), evil)
        np.savez(tmp_path / name, **arrays)
        with pytest.raises(UserError, match=name):
            read()
    assert not (tmp_path / PROBE).exists()


def test_a_file_that_was_changed(tmp_path: Path) -> None:
    model(tmp_path / "model.keras")
    folder_of(tmp_path, ["model.keras"])
    assert load(tmp_path).predict(np.zeros((4, 4, 3), np.uint8)).shape == (1, 2)
    with zipfile.ZipFile(tmp_path / "model.keras", "a") as archive:
        archive.writestr("more.txt", "more")
    with pytest.raises(UserError, match=r"model\.keras: not as Headstart wrote it"):
        load(tmp_path)
    (tmp_path / "model.keras").unlink()
    with pytest.raises(UserError, match=r"model\.keras: missing"):
        load(tmp_path)


def test_files_outside_the_folder_are_not_asked_for(tmp_path: Path) -> None:
    model(tmp_path / "other.keras")
    inner = tmp_path / "run"
    inner.mkdir()
    folder_of(inner, ["../other.keras"])
    with pytest.raises(UserError, match="no model"):
        load(inner)


def test_another_version(tmp_path: Path) -> None:
    model(tmp_path / "model.keras")
    folder_of(tmp_path, ["model.keras"])
    fields = json.loads((tmp_path / "model.json").read_text())
    newer = fields | {"format": 99, "versions": {"headstart": "7.1"}}
    (tmp_path / "model.json").write_text(json.dumps(newer))
    with pytest.raises(UserError, match=r"format 99.*reads format 1.*version 7\.1"):
        load(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(fields | {"colour": "red"}))
    with pytest.raises(UserError, match="damaged"):
        load(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        load(tmp_path)


def test_a_folder_without_an_export(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no model\.json, so no exported model; give results"):
        load(tmp_path)
    with pytest.raises(UserError, match="no such file or folder"):
        load(tmp_path / "nowhere")

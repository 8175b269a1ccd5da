"""Further forms are held to Keras, and one that is not alike is not kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.export import forms
from classifiers.export.folder import Exported, read_exported
from classifiers.export.forms import write_forms
from classifiers.export.run import export_run
from classifiers.predict.model import load
from classifiers.spec import Choice
from features.errors import UserError

from ..mount.conftest import EMBEDDED, Data, expected


@pytest.fixture
def taken(data: Data, tmp_path: Path, built_once: None) -> Path:
    features = [data.run(EMBEDDED)]
    directory = data.fit(features, "logistic", Choice("all", "mean"))
    export_run(directory, features, weights=[None], study="mine", to=tmp_path / "taken")
    return tmp_path / "taken"


def test_openvino_is_taken_where_it_is_there(data: Data, taken: Path) -> None:
    _, exported = read_exported(taken)
    write_forms(taken, exported, ["openvino"])
    directory = data.fit([data.run(EMBEDDED)], "logistic", Choice("all", "mean"))
    (taken / "model.keras").unlink()
    found = load(taken).predict(data.test)
    np.testing.assert_allclose(found, expected(directory), rtol=0, atol=1e-3)


@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_other_runtimes(taken: Path, form: str) -> None:
    if form == "onnx":
        pytest.importorskip("tf2onnx", reason="the extra onnx is not installed")
    _, exported = read_exported(taken)
    write_forms(taken, exported, [form])
    assert read_exported(taken)[1].has(f"model.{form}")
    assert sorted(file.name for file in taken.iterdir()) == [
        "model.json",
        "model.keras",
        f"model.{form}",
    ]


def test_a_form_that_says_otherwise_is_not_kept(
    taken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, load_form = forms.RUNTIMES["openvino"]

    def wrong(path: Path, inputs: Any) -> forms.Predict:
        right = load_form(path, inputs)
        return lambda images: right(images)[:, ::-1]

    monkeypatch.setitem(forms.RUNTIMES, "openvino", (write, wrong))
    _, exported = read_exported(taken)
    with pytest.raises(UserError, match=r"from Keras'.*not kept"):
        write_forms(taken, exported, ["openvino"])
    assert sorted(file.name for file in taken.iterdir()) == ["model.json", "model.keras"]


def test_without_a_model_there_is_nothing_to_convert(taken: Path) -> None:
    _, exported = read_exported(taken)
    bare = Exported(**vars(exported) | {"files": {}, "why": "it sees too much"})
    with pytest.raises(UserError, match=r"no model\.keras to convert: it sees too much"):
        write_forms(taken, bare, ["openvino"])

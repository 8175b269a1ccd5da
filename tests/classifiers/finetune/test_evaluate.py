"""A fine-tuned network on the test split."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from classifiers.export.forms import write_forms
from classifiers.export.run import export_run
from classifiers.finetune.evaluate import evaluate_tuned, load_tuned
from classifiers.predict.model import load
from classifiers.spec import Choice
from classifiers.store import read_json
from features.errors import UserError

from ..mount.conftest import EMBEDDED, Data, prepared
from .conftest import Tune


@pytest.fixture
def run(data: Data) -> Path:
    """The head that it starts from."""
    return data.fit([data.run(EMBEDDED)], "logistic", Choice())


@pytest.fixture
def tuned(tune: Tune, run: Path) -> Path:
    directory: Path = tune(start=run, learning_rate=1e-9, epochs=1)["directory"]
    return directory


def test_it_is_judged_as_the_head_that_it_started_from_and_costs_more(
    tuned: Path, run: Path, data: Data
) -> None:
    features = data.run(EMBEDDED)
    evaluate_tuned(data.folder / "data.h5", None, features, tuned)
    metrics, head = read_json(tuned / "metrics.json"), read_json(run / "metrics.json")
    assert metrics["test"]["accuracy"] == pytest.approx(head["test"]["accuracy"], abs=0.1)
    assert metrics["passes"] == head["passes"]
    assert metrics["seconds"]["search"] == pytest.approx(
        head["seconds"]["search"] + head["seconds"]["fit"]
    )
    assert metrics["calibration"]["temperature"] > 0
    with np.load(tuned / "predictions.npz") as kept, np.load(run / "predictions.npz") as theirs:
        assert kept["ids"].tolist() == theirs["ids"].tolist()


def test_the_exported_network_takes_images_of_any_size_and_says_the_same(
    tuned: Path, data: Data
) -> None:
    features = data.run(EMBEDDED)
    evaluate_tuned(data.folder / "data.h5", None, features, tuned)
    exported = export_run(tuned, [features], weights=[None], study="mine")
    with np.load(tuned / "predictions.npz") as kept:
        wanted = kept["scores"]
    np.testing.assert_allclose(load(tuned).predict(data.test), wanted, rtol=0, atol=1e-3)
    write_forms(tuned, exported, ["openvino"])
    np.testing.assert_allclose(load(tuned).predict(data.test), wanted, rtol=0, atol=1e-3)
    assert load(tuned).predict(np.zeros((50, 9, 3), np.uint8)).shape == (1, 3)


def test_a_further_test_set_is_judged_by_the_names_of_its_classes(
    tuned: Path, tmp_path: Path
) -> None:
    other = prepared(tmp_path / "other", train=40, test=20, classes=3)
    with h5py.File(other.folder / "data.h5", "r+") as file:
        # The same classes, numbered the other way round.
        file.attrs["classes"] = '["2", "1", "0"]'
        file["test/labels"][...] = 2 - file["test/labels"][...]
    evaluate_tuned(other.folder / "data.h5", None, None, tuned, further="other")
    metrics = read_json(tuned / "metrics.other.json")
    assert metrics["split"] == "other" and metrics["test"]["accuracy"] > 0.8


def test_a_class_that_the_network_does_not_know_is_named(tuned: Path, tmp_path: Path) -> None:
    other = prepared(tmp_path / "other", train=60, test=20, classes=4)
    with pytest.raises(UserError, match="knows no class '3'"):
        evaluate_tuned(other.folder / "data.h5", None, None, tuned, further="other")


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_network_that_is_not_whole_is_refused(tuned: Path, damage: str) -> None:
    file = tuned / "tuned.keras"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"tuned.keras: (no such|not a whole) network"):
        load_tuned(file)

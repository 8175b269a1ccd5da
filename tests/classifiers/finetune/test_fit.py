"""Fine-tuning from paths to a run's folder, on real images and a real network."""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from classifiers.calibration import read_validation
from classifiers.finetune import train
from classifiers.finetune.evaluate import load_tuned
from classifiers.finetune.freeze import unfreeze
from classifiers.finetune.network import assemble
from classifiers.finetune.predict import predicted
from classifiers.finetune.rows import CachedBoundary, LiveImages, rows_of
from classifiers.finetune.tops import top_of_run
from classifiers.spec import Choice
from classifiers.store import read_json
from features.backbones.build import build_backbone
from features.cache import FeatureFile
from features.datasets import open_images
from features.errors import UserError
from features.load import loader

from ..mount.conftest import EMBEDDED, HALF, Data, expected
from .conftest import Tune

HEADS = ("logistic", "svm", "ridge", "lda", "nearest_mean", "dense")


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("cached", [False, True], ids=["live", "cached"])
def test_the_first_prediction_is_that_of_the_head_on_the_cache(
    data: Data, head: str, cached: bool
) -> None:
    spec = replace(HALF, spatial=("stage3_block1_out",))
    features = data.run(spec)
    choices = {
        "logistic": Choice("all", "mean"),
        "svm": Choice("last", pca=10, whiten=True),
        "ridge": Choice("last", "mirror"),
    }
    run = data.fit([features], head, choices.get(head, Choice()))
    backbone = build_backbone(spec, None)
    # The last stage alone is frozen or all but the top, so that both halves are in use.
    unfreeze(backbone, {"from": "stage3_block1_add"} if cached else "all", "frozen")
    top = top_of_run(run, features)
    with open_images(data.folder / "data.h5", None) as images, FeatureFile(features) as file:
        network = assemble(backbone, spec, top, images.common_size())
        rows = rows_of(images, "test")
        live = LiveImages(images, loader(images, spec, in_graph=True), (16, 12), np.inf)
        logits = predicted(network.live, live, rows, 16)
        if cached:
            assert network.tail is not None
            needed = {layer for _, layer in network.keys}
            if needed <= {*file.layers, *file.spatial}:
                logits = predicted(network.tail, CachedBoundary(file, network.keys), rows, 16)
    np.testing.assert_allclose(softmax(logits), expected(run), atol=1e-3)


def test_from_the_cached_boundary_it_learns_what_it_learns_on_the_live_network(
    tune: Tune, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "none-00000000.h5"
    settings: dict[str, Any] = {
        "unfreeze": {"from": "stage3_block1_1_conv"},
        "stack": [{"dense": 16}, {"dropout": 0.2}],
        "epochs": 4,
        "learning_rate": 1e-3,
    }
    cached = tune("cached", **settings)
    live = tune("live", arguments={"disk": 1.0, "features": elsewhere}, **settings)
    assert (cached["boundary"]["cached"], live["boundary"]["cached"]) == (True, False)
    assert "would take" in live["boundary"]["why"] and "`disk`" in live["boundary"]["why"]
    for figure in ("loss", "val_loss"):
        np.testing.assert_allclose(
            [epoch[figure] for epoch in cached["epochs"]],
            [epoch[figure] for epoch in live["epochs"]],
            rtol=2e-3,
        )
    assert cached["boundary"]["epochs_to_pay"] > 0
    assert cached["passes"] and not live["passes"]


@pytest.mark.parametrize("head", ["logistic", "dense"])
def test_it_begins_with_what_the_head_said_of_validation_before_it_had_seen_it(
    tune: Tune, data: Data, head: str
) -> None:
    run = data.fit([data.run(EMBEDDED)], head, Choice("all", "mean"))
    kept = read_validation(run)
    assert kept is not None
    labels, scores = kept
    tuned = tune(start=run, learning_rate=1e-12, epochs=1)
    said = np.log(scores[np.arange(len(labels)), labels])
    assert tuned["began"]["val_loss"] == pytest.approx(-said.mean(), rel=1e-2)
    assert tuned["began"]["val_accuracy"] == (scores.argmax(axis=1) == labels).mean()
    assert tuned["dimensions"] == read_json(run / "fit.json")["dimensions"]


def test_a_boundary_that_is_there_is_used_however_little_is_free(tune: Tune) -> None:
    settings: dict[str, Any] = {"unfreeze": {"from": "stage3_block1_1_conv"}, "epochs": 3}
    first = tune("first", **settings)
    again = tune("again", arguments={"disk": 1.0}, **settings)
    assert (first["boundary"]["cached"], again["boundary"]["cached"]) == (True, True)


def test_a_boundary_within_a_block_is_cached_as_several_layers_and_says_which_would_be_one(
    tune: Tune, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "headstart"):
        tuned = tune(unfreeze={"from": "stage3_block1_2_conv"}, epochs=3)
    assert len(tuned["boundary"]["layers"]) == 2
    assert "begin behind stage2_block1_out or stage3_block1_add, and it is one" in caplog.text


def statistics(model: keras.Model) -> dict[str, np.ndarray]:
    """The moving statistics of every BatchNormalization."""
    return {
        f"{layer.name}.{kind}": np.asarray(getattr(layer, kind))
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
        for kind in ("moving_mean", "moving_variance")
    }


def test_batch_normalization_learns_no_statistics_unless_asked(tune: Tune) -> None:
    before = statistics(build_backbone(EMBEDDED, None))
    assert before
    frozen = tune("frozen", learning_rate=1e-3, monitor=None)
    after = statistics(load_tuned(frozen["directory"] / frozen["head"]))
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values, name)
    asked = tune("asked", learning_rate=1e-3, monitor=None, batch_norm="train")
    changed = statistics(load_tuned(asked["directory"] / asked["head"]))
    assert all((changed[name] != values).any() for name, values in before.items())


def test_augmented_views_can_be_cached(tune: Tune, data: Data) -> None:
    tuned = tune(
        unfreeze={"from": "stage3_block1_1_conv"},
        views=["identity", "mirror", "augmented-0"],
        epochs=3,
    )
    assert tuned["boundary"]["cached"]
    (name,) = tuned["passes"]
    with FeatureFile(data.folder / f"{name}.h5") as file:
        assert file.views == ["identity", "mirror", "augmented-0"]


def test_images_that_do_not_fit_into_memory_are_read_anew_to_the_same_end(small: Tune) -> None:
    whole = small("whole")
    read = small("read", arguments={"memory": 0.0})
    assert [epoch["loss"] for epoch in whole["epochs"]] == pytest.approx(
        [epoch["loss"] for epoch in read["epochs"]], rel=1e-4
    )


def test_nothing_of_the_test_split_is_seen(small: Tune, data: Data) -> None:
    before = small("before")
    file = data.folder / "data.h5"
    kept = data.folder / "kept.h5"
    shutil.copy(file, kept)
    try:
        with h5py.File(file, "r+") as opened:
            opened["test/images"][...] = 255 - opened["test/images"][...]
            opened["test/labels"][...] = 0
        after = small("after")
    finally:
        kept.replace(file)
    assert [epoch["val_loss"] for epoch in before["epochs"]] == pytest.approx(
        [epoch["val_loss"] for epoch in after["epochs"]], rel=1e-5
    )


KILLED = """
import sys
from pathlib import Path
from classifiers.finetune import fit, train
from classifiers.finetune.settings import DEFAULTS
from classifiers.store import read_json

folder, directory, features, sleep = map(Path, sys.argv[1:5])
if sleep.name == "sleep":
    import time
    whole = train._State.keep
    def keep(self, history):
        whole(self, history)
        print("epoch", len(history.epochs), flush=True)
        if len(history.epochs) == 2:
            time.sleep(600)
    train._State.keep = keep
fields = read_json(directory.parent / "spec.json")
fit.fine_tune(
    folder / "data.h5", None, fields, None, features, directory,
    DEFAULTS | {"epochs": 4, "batch_size": 16, "learning_rate": 1e-3, "stack": [{"dropout": 0.3}],
                "augmentation": {"shift": 0.1}, "mixup": 0.2, "monitor": "loss"},
    graphs=folder / "graphs", validation=0.3, seed=0, network=[{"conv": 8}, {"pool": 4}],
)
"""


def test_a_killed_training_goes_on_to_the_same_end(data: Data, tmp_path: Path) -> None:
    from classifiers.store import write_json
    from features.spec import feature_spec

    write_json(tmp_path / "spec.json", feature_spec(data.dataset, EMBEDDED))
    features = data.run(EMBEDDED)

    def command(name: str, how: str) -> list[str]:
        directory = tmp_path / f"Embedded.{name}.0"
        return [sys.executable, "-c", KILLED, str(data.folder), str(directory), str(features), how]

    subprocess.run(command("whole", "through"), check=True, cwd=Path.cwd())
    with subprocess.Popen(command("killed", "sleep"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "epoch 2\n":
                break
        process.send_signal(signal.SIGKILL)
    directory = tmp_path / "Embedded.killed.0"
    assert (directory / train.STATE).is_file() and not (directory / "fit.json").exists()
    subprocess.run(command("killed", "through"), check=True, cwd=Path.cwd())
    assert not (directory / train.STATE).exists()
    whole, resumed = (
        read_json(tmp_path / f"Embedded.{name}.0" / "fit.json") for name in ("whole", "killed")
    )
    assert len(resumed["epochs"]) == 4
    for figure in ("loss", "val_loss", "accuracy"):
        assert [epoch[figure] for epoch in resumed["epochs"]] == pytest.approx(
            [epoch[figure] for epoch in whole["epochs"]], rel=1e-3
        ), figure


def test_a_state_of_other_settings_is_not_gone_on_with(small: Tune, data: Data) -> None:
    first = small("one", epochs=1)
    directory = first["directory"]
    kept = {}

    def remove(folder: Path) -> None:
        kept.update({n: (folder / n).read_bytes() for n in (train.STATE, train.BEST)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("classifiers.finetune.fit.remove_state", remove)
        small("one", epochs=1)
    for name, content in kept.items():
        (directory / name).write_bytes(content)
    again = small("one", epochs=1, learning_rate=0.05)
    assert len(again["epochs"]) == 1
    assert again["epochs"][0]["learning_rate"] == pytest.approx(0.05)


def test_a_truncated_state_is_begun_anew(small: Tune, tmp_path: Path) -> None:
    directory = tmp_path / "Embedded.tuned.0"
    directory.mkdir()
    (directory / train.STATE).write_bytes(b"PK\x03\x04 cut")
    assert len(small()["epochs"]) == 2


def test_a_loss_that_is_no_number_keeps_the_head_it_started_from(tune: Tune, data: Data) -> None:
    run = data.fit([data.run(EMBEDDED)], "logistic", Choice())
    tuned = tune(start=run, learning_rate=1e30, epochs=3)
    assert tuned["status"] == "diverged" and tuned["best_epoch"] == 0
    assert tuned["validation"]["accuracy"] == tuned["began"]["val_accuracy"]
    assert "Lower learning_rate" in tuned["warnings"][0]


def test_a_loss_that_is_no_number_from_the_start_says_what_to_try(small: Tune) -> None:
    with pytest.raises(UserError, match=r"infinite or NaN in the first epoch.*`learning_rate`"):
        small(learning_rate=1e30)


def test_a_network_that_learns_nothing_more_stops(tune: Tune, data: Data) -> None:
    run = data.fit([data.run(EMBEDDED)], "logistic", Choice())
    tuned = tune(start=run, learning_rate=1e-9, epochs=6, patience=2)
    assert tuned["status"] == "stopped early" and len(tuned["epochs"]) == 2
    assert any("no epoch was better" in warning for warning in tuned["warnings"])


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ({"from": 400}, r"no layer 400; the backbone has \d+, which are 0 \(\w+\) to \d+"),
        ({"last": 400}, r"the last 400 layers of a backbone that has \d+"),
        ({"from": "stage3_blok1_1_conv"}, r"no layer 'stage3_blok1_1_conv'.*stage3_block1_1_conv"),
    ],
)
def test_layers_that_are_not_there_are_named(tune: Tune, which: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        tune(unfreeze=which)


def test_out_of_memory_says_what_to_make_smaller(
    small: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    def full(self: Any, *args: Any, **kwargs: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(keras.Model, "train_on_batch", full)
    with pytest.raises(UserError, match=r"out of memory in a step of 16 images.*`batch_size`"):
        small()


def test_a_head_without_gradients_is_refused(tune: Tune, data: Data) -> None:
    run = data.fit([data.run(EMBEDDED)], "knn", Choice())
    with pytest.raises(UserError, match=r"type knn is nothing that gradients could train"):
        tune(start=run)


def test_photographs_of_different_sizes_are_trained_on(tmp_path: Path) -> None:
    from PIL import Image

    from classifiers.finetune.evaluate import evaluate_tuned
    from classifiers.finetune.fit import fine_tune
    from classifiers.finetune.settings import DEFAULTS
    from features.datasets import DatasetSpec, identify, prepare
    from features.spec import feature_spec

    rng = np.random.default_rng(0)
    root = tmp_path / "images"
    for split, count in (("train", 12), ("test", 4)):
        for number, name in enumerate(("dark", "light")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                side = (20 + i, 30 - i, 3)
                pixels = rng.integers(120 * number, 120 * number + 100, side, np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    content = identify("folder", root, tmp_path / "memo.json")
    dataset = DatasetSpec("folder", content, test=0.2, seed=0)
    file = tmp_path / "data.h5"
    prepare(dataset, root, file)
    spec = feature_spec(dataset, EMBEDDED)
    directory = tmp_path / "Embedded.tuned.0"
    fine_tune(
        file,
        root,
        spec,
        None,
        tmp_path / "none-00000000.h5",
        directory,
        DEFAULTS | {"epochs": 5, "batch_size": 4, "learning_rate": 1e-3},
        graphs=tmp_path / "graphs",
        validation=0.25,
        seed=0,
    )
    evaluate_tuned(file, root, None, directory)
    assert read_json(directory / "metrics.json")["test"]["accuracy"] == 1.0


def test_live_curves_are_written_for_tensorboard(small: Tune) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tuned = small()
    curves = EventAccumulator(str(tuned["directory"] / "tensorboard")).Reload()
    written = [event.tensor_proto.float_val[0] for event in curves.Tensors("val_loss")]
    assert written == pytest.approx([epoch["val_loss"] for epoch in tuned["epochs"]])


def test_mixed_precision_learns_about_the_same(tune: Tune) -> None:
    settings: dict[str, Any] = {"learning_rate": 1e-3, "unfreeze": {"last": 8}, "monitor": None}
    exact, fast = (tune(how, precision=how, epochs=1, **settings) for how in ("exact", "fast"))
    assert fast["epochs"][0]["loss"] == pytest.approx(exact["epochs"][0]["loss"], rel=0.1)
    model = load_tuned(fast["directory"] / fast["head"])
    assert all(weight.dtype == "float32" for weight in model.trainable_weights)
    assert any(layer.compute_dtype == "bfloat16" for layer in model._flatten_layers())


def test_the_time_that_an_epoch_takes_is_kept(small: Tune) -> None:
    start = time.perf_counter()
    tuned = small()
    assert 0 < sum(epoch["seconds"] for epoch in tuned["epochs"]) < time.perf_counter() - start
    assert tuned["seconds"]["fit"] == pytest.approx(
        sum(epoch["seconds"] for epoch in tuned["epochs"])
    )

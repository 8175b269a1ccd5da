"""Features that were made with other weights of the same name are not used unawares."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from features.cache import write_features
from pipeline.plan import StudyPlan, plan_study
from pipeline.weights import check_weights

STUDY = "dataset: {source: digits}\nbackbones: {ResNet50: {}}\nheads: {logistic: {}}\n"


class StoppedError(Exception):
    pass


def stop(message: str) -> None:
    raise StoppedError(message)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyPlan:
    """A study whose features were made with the weights that are there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    Path("mine.yaml").write_text(STUDY)
    plan = plan_study(Path("mine.yaml"))
    (features,) = plan.features
    weights = tmp_path / "keras" / "models" / str(features.imagenet)
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"one")
    write_features(
        features.file,
        splits={"train": (np.zeros(3), ["a", "b", "c"], {("identity", "x"): np.zeros((3, 2))})},
        classes=["c"],
        views=["identity"],
        spec=features.spec,
        record={},
        facts={"backbone": {"imagenet_sha256": hashlib.sha256(b"one").hexdigest()}},
    )
    return plan


def weights_of(plan: StudyPlan) -> Path:
    return Path("keras/models") / str(plan.features[0].imagenet)


def test_the_same_weights_pass(plan: StudyPlan) -> None:
    check_weights([plan], stop)


def test_weights_that_are_gone_pass_for_nothing_is_computed(plan: StudyPlan) -> None:
    weights_of(plan).unlink()
    check_weights([plan], stop)


def test_others_of_the_same_name_stop_the_study_and_both_files_are_named(plan: StudyPlan) -> None:
    weights_of(plan).write_bytes(b"other")
    with pytest.raises(StoppedError) as stopped:
        check_weights([plan], stop)
    for part in (str(plan.features[0].file), weights_of(plan).name, "delete", "put those weights"):
        assert part in str(stopped.value)


def test_features_that_are_not_there_yet_need_no_weights(plan: StudyPlan) -> None:
    plan.features[0].file.unlink()
    weights_of(plan).write_bytes(b"other")
    check_weights([plan], stop)

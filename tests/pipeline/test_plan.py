"""Which files a study wants: named by what decides their content and by nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from features.errors import UserError
from pipeline.plan import EMBEDDED_CARD, StudyPlan, plan_study

STUDY = """
dataset: {source: digits}
backbones: {Embedded: {}}
heads: {logistic: {}, knn: {}}
seeds: [0, 3]
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def plan(text: str, name: str = "mine") -> StudyPlan:
    file = Path(f"{name}.yaml")
    file.write_text(text)
    return plan_study(file)


def test_every_head_meets_every_backbone_with_every_seed() -> None:
    text = STUDY.replace(
        "{Embedded: {}}", "{a: {architecture: Embedded}, b: {architecture: VGG16}}"
    )
    runs = plan(text).runs
    assert {run.name for run in runs} == {
        f"{b}.{h}.{s}" for b in "ab" for h in ("logistic", "knn") for s in (0, 3)
    }
    assert len({run.folder for run in runs}) == len(runs) == 8


TWO = """
dataset: {source: digits}
backbones: {a: {architecture: Embedded}, b: {architecture: Embedded, size: 48}}
heads:
  all: {type: vote, heads: [knn, both], join: [a, b]}
  each: {type: vote, heads: [knn, both]}
  knn:
  both: {type: logistic, join: [b, a]}
further_tests: {more: {source: digits, seed: 3}}
folds: 4
memory: 2
"""


def test_joined_backbones_are_one_run_and_votes_count_the_runs_that_there_are() -> None:
    made = plan(TWO)
    members = {run.name: [member.name for member in run.members] for run in made.runs}
    assert members == {
        "a+b.all.0": ["a.knn.0", "b.knn.0", "b+a.both.0"],
        "a.each.0": ["a.knn.0", "b+a.both.0"],
        "b.each.0": ["b.knn.0", "b+a.both.0"],
        "a.knn.0": [],
        "b.knn.0": [],
        "b+a.both.0": [],
    }
    runs = {run.name: run for run in made.runs}
    a, b = runs["a.knn.0"].features, runs["b.knn.0"].features
    assert runs["b+a.both.0"].features == (*b, *a)
    assert runs["a.each.0"].features == ()
    assert {run.folds for run in made.runs} == {4}
    assert made.memory == 2e9
    assert plan_study(made.file, memory=3, scheduler="tcp://x:1").memory == 3e9


def test_a_further_test_set_goes_through_every_backbone_as_a_test_split_alone() -> None:
    made = plan(TWO)
    assert len(made.features) == 2
    assert len(made.passes) == 4
    further = [one for one in made.passes if one not in made.features]
    assert {one.dataset.spec.test for one in further} == {1.0}
    assert {one.dataset.spec.test for one in made.features} == {0.2}
    backbones = [[one.spec["backbone"] for one in some] for some in (made.features, further)]
    assert backbones[0] == backbones[1]
    assert len(made.further_metrics) == len(made.runs)


def test_a_further_test_set_may_be_a_file_that_holds_nothing_else() -> None:
    images = np.zeros((4, 8, 8, 3), np.uint8)
    np.savez("shifted.npz", x_test=images, y_test=np.arange(4) % 2)
    made = plan(STUDY + "further_tests: {shifted: {source: npz, path: shifted.npz}}")
    assert [one.dataset.spec.source for one in made.passes] == ["digits", "npz"]
    with pytest.raises(UserError, match="x_train"):
        plan(STUDY.replace("source: digits", "source: npz, path: shifted.npz"))


@pytest.mark.parametrize(
    "change",
    [
        ("mine", "Embedded: {}", "other_name: {architecture: Embedded}"),
        ("mine", "{logistic: {}, knn: {}}", "{ridge: {}}"),
        ("mine", "digits}", "digits, validation: 0.4}"),
        ("mine", "Embedded: {}", "Embedded: {size: 32, interpolation: bilinear}"),
        ("mine", "[0, 3]", "[1]"),
        ("another", "digits", "digits"),
    ],
)
def test_what_decides_no_feature_changes_no_features_file(change: tuple[str, str, str]) -> None:
    name, old, new = change
    files = [features.file for features in plan(STUDY).features]
    assert [features.file for features in plan(STUDY.replace(old, new), name).features] == files


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Embedded: {}", "Embedded: {size: 40}"),
        ("Embedded: {}", "Embedded: {interpolation: nearest}"),
        ("Embedded: {}", "Embedded: {preprocessing: unit}"),
        ("Embedded: {}", "Embedded: {views: [identity]}"),
        ("Embedded: {}", "Embedded: {weights: random}"),
        ("digits}", "digits, test: 0.3}"),
        ("digits}", "digits, seed: 5}"),
        ("digits}", "digits, limit: {train: 100}}"),
    ],
)
def test_what_decides_a_feature_changes_the_features_file(old: str, new: str) -> None:
    (one,) = plan(STUDY).features
    (other,) = plan(STUDY.replace(old, new)).features
    assert one.file != other.file


def test_moved_and_touched_data_keeps_its_features(tmp_path: Path) -> None:
    np.savez("a.npz", x=np.zeros((20, 8, 8), np.uint8), y=np.arange(20) % 2)
    (one,) = plan(STUDY.replace("source: digits", "source: npz, path: a.npz")).features
    (tmp_path / "deep").mkdir()
    Path("a.npz").rename("deep/b.npz")
    (other,) = plan(STUDY.replace("source: digits", "source: npz, path: deep/b.npz")).features
    assert one.file == other.file


def test_weights_that_changed_under_the_same_name_are_other_features() -> None:
    text = STUDY.replace("Embedded: {}", "Embedded: {weights: mine.weights.h5}")
    Path("mine.weights.h5").write_bytes(b"one")
    (one,) = plan(text).features
    Path("mine.weights.h5").write_bytes(b"two")
    (other,) = plan(text).features
    assert one.file != other.file
    assert one.weights == Path("mine.weights.h5")


@pytest.mark.parametrize("content", json.loads(EMBEDDED_CARD.read_text())["trained_on"]["contents"])
def test_the_embedded_backbone_is_not_judged_on_what_it_was_trained_on(
    content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.plan.identify", lambda *_, **__: content)
    with pytest.raises(UserError, match=r"backbones\.Embedded: .* trained on cifar10"):
        plan(STUDY)


def test_cifar10_by_name_is_refused_for_it_too() -> None:
    with pytest.raises(UserError, match="trained on cifar10"):
        plan(STUDY.replace("digits", "cifar10"))


def test_other_weights_in_its_architecture_are_not_refused() -> None:
    text = STUDY.replace("digits", "cifar10").replace("Embedded: {}", "Embedded: {weights: random}")
    assert plan(text).runs

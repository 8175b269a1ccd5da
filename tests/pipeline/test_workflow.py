"""The workflow as a user runs it. What is reused is read from Snakemake's own plan."""

from __future__ import annotations

import base64
import contextlib
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from sklearn.datasets import load_digits

import features
import headstart
from classifiers.store import load_head

from .conftest import copy_project, planned, snakemake

STUDY = """
dataset: {source: digits, limit: {train: 300}}
backbones:
  embedded: {architecture: Embedded, views: [identity]}
heads:
  logistic: {C: [0.001, 0.01, 0.1]}
  knn: {layers: all, k: 5}
"""

COMPARED = {"leaderboard": 1, "failures": 1, "map": 1, "report": 1, "export": 1}
"""What follows the evaluation of any run, by a study's plan."""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which a small study has been run."""
    project = copy_project(tmp_path_factory.mktemp("done") / "headstart")
    (project / "studies" / "small.yaml").write_text(STUDY)
    result = snakemake(project, "small")
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture
def again(done: Path, tmp_path: Path) -> Path:
    """A copy of that, with its times, to change something in."""
    shutil.copytree(done, tmp_path / "headstart", symlinks=True)
    return tmp_path / "headstart"


def test_a_study_ends_in_leaderboard_and_report(done: Path) -> None:
    results = done / "results" / "small"
    rows = list(csv.DictReader((results / "leaderboard.csv").open()))
    assert {row["head"] for row in rows} == {"logistic", "knn"}
    for row in rows:
        assert float(row["test_low"]) < float(row["test_accuracy"]) < float(row["test_high"])
        assert float(row["test_accuracy"]) > 0.7
        assert float(row["pass_seconds"]) > 0
    assert "small" in (results / "report.html").read_text()


def test_a_study_ends_in_models_to_take_away(done: Path) -> None:
    results = done / "results" / "small"
    best = headstart.load(results / "best")
    assert best.exported.has("openvino/model.xml")
    images = load_digits().images[:5] * 15.9
    for name in ("logistic", "knn"):
        run = headstart.load(results / "runs" / f"embedded.{name}.0")
        assert run.predict([image.astype(np.uint8) for image in images]).shape == (5, 10)
    card = (results / "best" / "README.md").read_text()
    assert f"# small: {best.exported.run}" in card


def test_a_study_compares_its_heads_and_looks_at_its_data(done: Path) -> None:
    results = done / "results" / "small"
    comparison = json.loads((results / "comparison.json").read_text())
    assert {head["name"] for head in comparison["heads"]} == {"embedded.logistic", "embedded.knn"}
    assert len(comparison["pairs"]) == 1
    duplicates = json.loads((results / "duplicates.json").read_text())
    page = (results / "report.html").read_text()
    assert comparison["words"][0] in page
    assert duplicates["exact"]["in_test"] == 0
    assert "No test image is also among the images" in page


def test_the_report_shows_failures_and_a_map_of_what_is_not_test(done: Path) -> None:
    results = done / "results" / "small"
    failures = json.loads((results / "failures.json").read_text())
    placed = json.loads((results / "map.json").read_text())
    run = next(csv.DictReader((results / "leaderboard.csv").open()))
    best = ".".join(run[part] for part in ("backbone", "head", "seed"))
    assert failures["run"] == placed["run"] == best
    assert (failures["images"], placed["of"]) == (360, 300)
    with np.load(results / "runs" / best / "predictions.npz") as kept:
        wrong = kept["ids"][kept["predicted"] != kept["labels"]].tolist()
        tested = kept["ids"].tolist()
    assert {shown["image"] for shown in failures["surest"]} <= set(wrong)
    assert failures["wrong"] == len(wrong)
    assert not set(placed["ids"]) & set(tested)
    assert (results / "report.html").stat().st_size < 5_000_000


def test_a_run_ends_in_its_results_and_one_with_nothing_to_do_says_nothing(again: Path) -> None:
    result = snakemake(again, "small", "--forcerun", "report")
    assert result.returncode == 0, result.stderr
    said = result.stderr[result.stderr.index("small, by validation accuracy") :]
    assert "embedded.logistic.0" in said
    assert "More of each: results/small/report.html" in said
    assert "by validation accuracy" not in snakemake(again, "small").stderr


def test_snakemakes_own_report_holds_results_and_captions_without_a_network(again: Path) -> None:
    dead = {name: "http://127.0.0.1:9" for name in ("https_proxy", "http_proxy", "HTTPS_PROXY")}
    result = snakemake(again, "small", "--report", "out.html", no_proxy="", **dead)
    assert result.returncode == 0, result.stderr
    page = (again / "out.html").read_text()
    assert "Each study has a category of its own" in page
    for caption in ("The whole report of the study", "Every run of the study", "Every setting"):
        assert caption in page, caption
    for name in ("report.html", "leaderboard.csv", "selection.csv"):
        assert f"filename={name}" in page, name
    report = (again / "results" / "small" / "report.html").read_bytes()
    assert base64.b64encode(report).decode() in page
    assert planned(again, "small") == {}


def test_curves_and_suspects_are_made_where_a_study_asks(again: Path) -> None:
    asked = STUDY + "learning_curves: [logistic]\nsuspects: logistic\n"
    (again / "studies" / "small.yaml").write_text(asked)
    plan = planned(again, "small")
    assert plan == {"budget": 1, "evaluate_budget": 1, "suspects": 1, "report": 1}
    result = snakemake(again, "small")
    assert result.returncode == 0, result.stderr
    results = again / "results" / "small"
    run = results / "runs" / "embedded.logistic.0"
    explored, judged = (
        json.loads((run / name).read_text()) for name in ("budget.json", "budget-test.json")
    )
    assert (explored["split"], judged["split"]) == ("validation", "test")
    page = (results / "report.html").read_text()
    assert "What would more labels bring?" in page
    with (results / "suspects.csv").open() as file:
        suspects = list(csv.DictReader(file))
    data = page[page.index('<section id="data"') : page.index('<section id="making"')]
    assert data.count("data:image/png;base64,") == min(len(suspects), 48) > 0
    assert planned(again, "small") == {}


def test_joined_backbones_votes_folds_and_a_further_test_set(again: Path) -> None:
    (again / "studies" / "more.yaml").write_text("""
dataset: {source: digits, limit: {train: 300}}
backbones:
  embedded: {architecture: Embedded, views: [identity]}
  other: {architecture: Embedded, views: [identity, mirror], size: 24}
heads:
  both: {type: logistic, C: [0.001, 0.01], join: [embedded, other], layers: all, pca: 30}
  rows: {type: ridge, alpha: 100.0, view: rows}
  vote: {type: vote, heads: [both, rows], join: [embedded, other]}
folds: 3
further_tests: {all_digits: {source: digits}}
""")
    result = snakemake(again, "more")
    assert result.returncode == 0, result.stderr
    results = again / "results" / "more"
    rows = {row["head"]: row for row in csv.DictReader((results / "leaderboard.csv").open())}
    assert set(rows) == {"both", "rows", "vote"}
    assert rows["vote"]["backbone"] == "embedded+other"
    vote = json.loads((results / "runs" / "embedded+other.vote.0" / "fit.json").read_text())
    assert vote["members"] == ["embedded+other.both.0", "embedded.rows.0", "other.rows.0"]
    assert vote["validation"]["images"] == 300
    for run in (*vote["members"], "embedded+other.vote.0"):
        further = json.loads((results / "runs" / run / "metrics.all_digits.json").read_text())
        assert further["test"]["images"] == 1797
        assert further["test"]["accuracy"] > 0.7
    page = (results / "report.html").read_text()
    assert "How do they fare on other test sets?" in page
    assert "30 components" in page
    assert "those of its heads" in page
    assert planned(again, "more") == {}


def test_every_job_has_a_log_with_its_progress(done: Path) -> None:
    logs = [str(log.relative_to(done / "logs")) for log in (done / "logs").rglob("*.log")]
    for stage in ("datasets/", "features/", "heads/small/", "evaluate/small/", "report/small"):
        assert any(log.startswith(stage) for log in logs), stage
    (features,) = (done / "logs" / "features").rglob("*.log")
    text = features.read_text()
    assert "images/s" in text
    assert "660/660 images" in text
    assert "the limit was" in text
    assert "\r" not in text


def test_a_second_run_does_nothing(done: Path) -> None:
    assert planned(done, "small") == {}


def test_a_new_head_fits_that_head_only(again: Path) -> None:
    (again / "studies" / "small.yaml").write_text(STUDY + "  ridge: {alpha: 10.0}\n")
    assert planned(again, "small") == {"head": 1, "evaluate": 1, **COMPARED}


def test_a_fine_tuning_begins_with_a_hint_and_repeats_nothing(again: Path) -> None:
    file = again / "studies" / "small.yaml"
    tuned = "fine_tune: {tuned: {backbone: embedded, head: logistic, epochs: 1}}\n"
    file.write_text(STUDY + tuned)
    steps = {"head": 1, "evaluate": 1, **COMPARED}
    assert planned(again, "small") == {"promise": 1, **steps}
    result = snakemake(again, "small")
    assert result.returncode == 0, result.stderr
    log = (again / "logs" / "heads" / "small" / "embedded.tuned.0.log").read_text()
    assert log.index("LogME") < log.index("before the first epoch") < log.index("epoch 1 of 1")
    rows = list(csv.DictReader((again / "results/small/leaderboard.csv").open()))
    assert {row["head"] for row in rows} == {"logistic", "knn", "tuned"}
    assert planned(again, "small") == {}
    file.write_text(STUDY + tuned.replace("epochs: 1", "epochs: 2"))
    assert planned(again, "small") == steps
    file.write_text(STUDY + tuned + "published: {source: A paper, accuracy: {tuned: 0.9}}\n")
    assert planned(again, "small") == {"report": 1}


def test_a_changed_setting_fits_that_head_only(again: Path) -> None:
    (again / "studies" / "small.yaml").write_text(STUDY.replace("k: 5", "k: 7"))
    assert planned(again, "small") == {"head": 1, "evaluate": 1, **COMPARED}


def test_a_new_backbone_runs_that_pass_only(again: Path) -> None:
    more = "backbones:\n  large: {architecture: Embedded, size: 48, views: [identity]}"
    (again / "studies" / "small.yaml").write_text(STUDY.replace("backbones:", more))
    plan = planned(again, "small")
    # The new one is the first, by which near duplicates are found.
    assert plan.pop("duplicates") == 1
    assert plan == {"features": 1, "head": 2, "evaluate": 2, **COMPARED}


def test_another_study_on_the_same_features_runs_no_pass(again: Path) -> None:
    other = STUDY.replace("embedded:", "another_name:").replace("knn: {", "mine: {type: knn, ")
    (again / "studies" / "other.yaml").write_text(other)
    plan = planned(again, "other")
    assert plan.pop("duplicates") == 1
    assert plan == {"head": 2, "evaluate": 2, **COMPARED}


def test_an_edited_comment_in_the_code_runs_nothing(again: Path) -> None:
    edited = [*again.rglob("*.py"), *again.rglob("*.smk"), again / "Snakefile"]
    assert len(edited) > 30
    for file in edited:
        file.write_text(file.read_text() + "\n\n# a comment\n")
    assert planned(again, "small") == {}


def test_an_edited_comment_in_the_study_writes_the_report_only(again: Path) -> None:
    (again / "studies" / "small.yaml").write_text("# a comment" + STUDY)
    assert planned(again, "small") == {"report": 1}


def test_another_share_for_validation_runs_no_pass(again: Path) -> None:
    (again / "studies" / "small.yaml").write_text(
        STUDY.replace("digits,", "digits, validation: 0.3,")
    )
    plan = planned(again, "small")
    assert plan == {"head": 2, "evaluate": 2, **COMPARED}


def test_more_seeds_fit_only_the_new_ones(again: Path) -> None:
    (again / "studies" / "small.yaml").write_text(STUDY + "seeds: [0, 1]\n")
    plan = planned(again, "small")
    assert plan == {"head": 2, "evaluate": 2, **COMPARED}


def test_only_the_evaluation_reads_the_test_split(again: Path) -> None:
    """With a test split of rubbish the very same heads are chosen and fitted."""
    path = features_file(again)
    with features.open(path) as file:
        places = [
            (file.offset(name), file.dtype(name).itemsize * int(np.prod(file.shape(name))))
            for name in file.names()
            if name.startswith("test/")
        ]
    with path.open("r+b") as raw:
        for offset, size in places:
            raw.seek(offset)
            raw.write(np.random.default_rng(0).bytes(size))

    def chosen() -> dict[str, object]:
        found: dict[str, object] = {}
        for fit in sorted((again / "results").rglob("fit.json")):
            fields = json.loads(fit.read_text())
            tried = csv.DictReader((fit.parent / "selection.csv").open())
            values = np.random.default_rng(1).normal(size=(50, fields["dimensions"]))
            predicted = load_head(fit.parent / fields["head"]).predict_proba(values)
            found[fit.parent.name] = (
                [fields[name] for name in ("settings", "validation", "training", "dimensions")],
                [row["accuracy"] for row in tried],
                predicted.tolist(),
            )
        return found

    before = chosen()
    assert len(before) == 2
    result = snakemake(again, "small", "--forcerun", "head", "--until", "head")
    assert result.returncode == 0, result.stderr
    assert chosen() == before
    result = snakemake(again, "small")
    assert result.returncode == 1
    assert "of /test/" in result.stderr
    assert "are not as they were written" in result.stderr


def features_file(project: Path) -> Path:
    (file,) = (project / "cache" / "features").rglob("*.h5")
    return file


def test_killed_at_any_moment_it_goes_on_at_once_and_ends_in_the_same_bytes(
    done: Path, again: Path
) -> None:
    """Snakemake and its jobs together, as a power cut would: nothing is to be unlocked."""
    for made in ("cache", "results", ".headstart", ".snakemake"):
        shutil.rmtree(again / made)
    rng = random.Random(1)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "4", "small"],
            cwd=again,
            env=os.environ | {"PYTHONPATH": str(again)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(2, 14))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    result = snakemake(again, "small")
    assert result.returncode == 0, result.stderr
    assert features_file(again).read_bytes() == features_file(done).read_bytes()
    assert planned(again, "small") == {}


def test_a_pass_that_is_whole_survives_the_end_of_its_job(again: Path) -> None:
    """Snakemake deletes outputs of unfinished jobs; this one's is a link."""
    before = features_file(again).stat()
    shutil.rmtree(again / "results")
    (link,) = (again / ".headstart" / "features").rglob("*.h5")
    link.unlink()
    result = snakemake(again, "small")
    assert result.returncode == 0, result.stderr
    assert "is there already" in result.stderr
    after = features_file(again).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_two_checkouts_share_one_cache(done: Path, tmp_path: Path) -> None:
    other = copy_project(tmp_path / "other")
    (other / "studies" / "theirs.yaml").write_text(
        STUDY.replace("knn:", "ridge:").split("{layers")[0] + "{}\n"
    )
    (other / "cache").symlink_to(done / "cache")
    before = features_file(done).stat().st_mtime_ns
    result = snakemake(other, "theirs")
    assert result.returncode == 0, result.stderr
    assert "is there already" in result.stderr
    assert features_file(done).stat().st_mtime_ns == before
    assert planned(other, "theirs") == {}
    assert planned(done, "small") == {}


def test_parts_are_joined_and_another_number_invalidates_nothing(done: Path, again: Path) -> None:
    shutil.rmtree(again / "cache" / "features")
    plan = planned(again, "small", "--config", "parts=3")
    assert (plan["part"], plan["features"]) == (3, 1)
    result = snakemake(again, "small", "--config", "parts=3")
    assert result.returncode == 0, result.stderr
    for parts in ("parts=1", "parts=2", "parts=3"):
        assert planned(again, "small", "--config", parts) == {}
    whole = (again / "cache" / "features").glob("*/*.h5")
    with features.open(next(whole)) as joined, features.open(features_file(done)) as one:
        assert joined.parts == 3
        for name in one.names():
            np.testing.assert_array_equal(joined.rows_of(name, 0, 999), one.rows_of(name, 0, 999))


def test_another_engine_reruns_nothing(again: Path) -> None:
    assert planned(again, "small", "--config", "engine=tensorflow") == {}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("engine=torch", "allowed: auto, openvino, tensorflow, jax"),
        ("parts=0", "wants a whole number from 1 on"),
        ("cores=4", "unknown key 'cores'; allowed: engine, parts"),
    ],
)
def test_a_wrong_setting_on_the_command_line_is_told(
    project: Path, setting: str, expected: str
) -> None:
    result = snakemake(project, "quickstart", "--config", setting)
    assert result.returncode == 1
    assert expected in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_a_second_snakemake_in_the_same_folder_is_refused(again: Path) -> None:
    (again / ".headstart").mkdir(exist_ok=True)
    with FileLock(again / ".headstart" / "lock"):
        result = snakemake(again, "small", "--forcerun", "report")
    assert result.returncode == 1
    assert "another snakemake is at work in this folder" in result.stdout + result.stderr


def test_all_studies_are_targets(project: Path) -> None:
    listed = snakemake(project, "--list-target-rules")
    assert {"quickstart", "cifar10", "cifar10_jpeg"} <= set(listed.stdout.split())


def test_lint_is_clean(project: Path) -> None:
    result = snakemake(project, "--lint")
    assert result.returncode == 0, result.stderr
    assert "Congratulations" in result.stdout + result.stderr


@pytest.mark.parametrize("target", [(), ("cifar10",)])
def test_the_default_target_is_cifar10_and_can_be_planned_offline(
    project: Path, target: tuple[str, ...]
) -> None:
    result = snakemake(project, *target, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "results/cifar10/report.html" in result.stdout + result.stderr


def test_offline_with_nothing_cached_it_says_what_is_missing(project: Path, tmp_path: Path) -> None:
    # A proxy that nobody serves: no network, whatever the machine has.
    dead = {name: "http://127.0.0.1:9" for name in ("https_proxy", "http_proxy", "HTTPS_PROXY")}
    start = time.monotonic()
    result = snakemake(project, KERAS_HOME=str(tmp_path / "keras"), no_proxy="", **dead)
    message = result.stdout + result.stderr
    assert result.returncode == 1
    assert time.monotonic() - start < 60
    for part in (
        "cifar-10-python.tar.gz",
        "data/cifar-10-python.tar.gz",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5",
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        str(tmp_path / "keras" / "models"),
        "snakemake --cores 4 quickstart",
    ):
        assert part in message, part
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("wrong", STUDY.replace("knn:", "knnn:"), "heads: knnn: no type 'knnn'"),
        ("wrong", STUDY.replace("digits,", "npz, path: none.npz,"), "dataset.path: none.npz: no"),
        ("report", STUDY, "a study may not be named 'report'"),
    ],
)
def test_a_wrong_study_stops_before_any_job(
    project: Path, name: str, text: str, expected: str
) -> None:
    (project / "studies" / f"{name}.yaml").write_text(text)
    result = snakemake(project, name)
    message = result.stdout + result.stderr
    assert result.returncode == 1
    assert f"studies/{name}.yaml" in message
    assert expected in message
    assert "Traceback" not in message
    assert "rule dataset" not in message
    assert not (project / "cache" / "datasets").exists()


def test_two_files_of_one_name_clash(project: Path) -> None:
    (project / "studies" / "quickstart.yml").write_text(STUDY)
    result = snakemake(project, "quickstart")
    assert result.returncode == 1
    assert "its name clashes with studies/quickstart.yaml" in result.stdout + result.stderr


def test_a_wrong_study_stops_nobody_else(project: Path) -> None:
    (project / "studies" / "wrong.yaml").write_text("heads: 1")
    assert planned(project, "quickstart")["features"] == 1


def test_a_mistake_that_only_a_job_finds_is_told_without_a_traceback(project: Path) -> None:
    images = np.zeros((40, 8, 8, 3), np.float32)
    np.savez(project / "float.npz", x=images, y=np.arange(40) % 2)
    study = STUDY.replace("source: digits, limit: {train: 300}", "source: npz, path: float.npz")
    (project / "studies" / "floats.yaml").write_text(study)
    result = snakemake(project, "floats")
    message = result.stdout + result.stderr
    assert result.returncode == 1
    assert "float.npz" in message
    assert "uint8" in message
    assert "Traceback" not in message

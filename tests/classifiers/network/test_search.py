"""The search of dense heads by Keras Tuner."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.heads import DEFAULTS, dense
from classifiers.network import search as searches
from classifiers.network.search import PUBLISHED, Found, search
from classifiers.selection import Candidate, write_selection
from features.errors import UserError

SETTINGS: dict[str, Any] = dense.DenseClassifier().get_params() | {"epochs": 2, "batch_size": 16}
del SETTINGS["seed"]
SPACE = {"units": [4, 8], "depth": [0, 1, 2], "learning_rate": [0.03, 0.01]}


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    values = (rng.normal(0, 2, (60, 4)) + 2 * np.eye(3, 4)[labels]).astype(np.float32)
    return values[:40], labels[:40], values[40:], labels[40:]


def searched(folder: Path, **changes: Any) -> Found:
    given = {"space": SPACE, "how": {"random": {"trials": 4}}, "settings": SETTINGS, "seed": 1}
    return search(*rows(), folder=folder, **(given | changes))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Candidates judged by their settings at once, a second each; gives those that were fitted."""
    fitted: list[dict[str, Any]] = []

    def tried(settings: dict[str, Any], *_: Any) -> Candidate:
        fitted.append(settings)
        accuracy = 1 / (1 + abs(np.log10(settings["learning_rate"]) + 3))
        return Candidate(settings, accuracy, 1.0, "finished", settings["epochs"], [])

    monkeypatch.setattr(searches, "_tried", tried)
    return fitted


def without_seconds(found: Found) -> list[Candidate]:
    return [replace(one, seconds=0.0) for one in found.tried]


def test_the_best_candidate_makes_the_head_that_was_judged(tmp_path: Path) -> None:
    found = searched(tmp_path / "search")
    assert found.whole
    assert len(found.tried) == 4
    assert len({json.dumps(one.settings) for one in found.tried}) == 4
    assert found.best.accuracy == max(one.accuracy for one in found.tried)
    X, y, Xv, yv = rows()
    head = dense.make(seed=1, **found.best.settings).fit(X, y, validation=(Xv, yv))
    assert head.score(Xv, yv) == found.best.accuracy
    assert head.epochs_ == found.best.epochs
    again = dense.make(seed=1, **found.best.settings).fit(X, y, until=found.best.epochs)
    assert np.array_equal(again.predict_proba(Xv), head.predict_proba(Xv))

    write_selection(tmp_path / "selection.csv", found.tried)
    with (tmp_path / "selection.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in table] == [one.accuracy for one in found.tried]
    assert [json.loads(row["stack"]) for row in table] == [
        one.settings["stack"] for one in found.tried
    ]
    assert {row["status"] for row in table} == {"finished"}


def test_hyperband_takes_the_best_on_to_more_epochs(
    tmp_path: Path, quick: list[dict[str, Any]]
) -> None:
    found = searched(tmp_path, space=PUBLISHED, how="hyperband")
    epochs = [one.settings["epochs"] for one in found.tried]
    assert epochs == [2] * 12 + [4] * 4 + [10] * 2 + [4] * 6 + [10] * 2 + [10] * 4
    first = sorted(found.tried[:12], key=lambda one: -one.accuracy)
    taken = {json.dumps(one.settings["stack"]) for one in found.tried[12:16]}
    assert taken == {json.dumps(one.settings["stack"]) for one in first[:4]}


def test_every_value_of_the_published_space_is_drawn_and_no_other(
    tmp_path: Path, quick: list[dict[str, Any]]
) -> None:
    searched(tmp_path, space=PUBLISHED, how={"random": {"trials": 150}})
    layers = [[part for part in one["stack"] if "dense" in part] for one in quick]
    assert {len(one) for one in layers} == {1, 2, 3, 4, 5}
    widths = {part["dense"] for one in layers for part in one}
    assert widths == set(range(32, 513, 32))
    penalties = {(k, v) for one in layers for part in one for k, v in part.items() if k != "dense"}
    assert penalties == {(kind, rate) for kind in ("l1", "l2") for rate in (0.001, 0.01, 0.1)}
    assert any(one[0].keys() == {"dense"} for one in layers)
    assert {one["dropout"] for one in quick} == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}
    rates = np.array([one["learning_rate"] for one in quick])
    assert rates.min() >= 1e-5
    assert rates.max() <= 1e-2
    assert 0.2 < (rates < 3.2e-4).mean() < 0.8, "drawn by their logarithm"


def test_a_space_without_shape_keeps_the_layers(
    tmp_path: Path, quick: list[dict[str, Any]]
) -> None:
    schedules = ["constant", {"cosine": {"warmup": 1}}]
    searched(
        tmp_path,
        space={"schedule": schedules, "batch_size": 8, "dropout": {"from": 0.1, "to": 0.4}},
    )
    assert all(one["hidden"] == (256,) and one["stack"] is None for one in quick)
    assert all(one["schedule"] in schedules and one["batch_size"] == 8 for one in quick)
    assert len({one["dropout"] for one in quick}) == 4


def test_another_seed_draws_others(tmp_path: Path, quick: list[dict[str, Any]]) -> None:
    same, other = searched(tmp_path / "a"), searched(tmp_path / "b", seed=2)
    assert without_seconds(same) == without_seconds(searched(tmp_path / "c"))
    assert without_seconds(same) != without_seconds(other)


def test_a_limit_keeps_the_best_so_far_and_says_so(
    tmp_path: Path, quick: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", "headstart"):
        found = searched(tmp_path, limit_s=2)
    assert not found.whole
    assert len(found.tried) == 2
    assert found.best in found.tried
    assert "cut short by its limit of 2 s after 2 candidates" in caplog.text
    assert len(searched(tmp_path / "none", limit_s=0).tried) == 1, "one is always tried"
    assert searched(tmp_path / "much", limit_s=100).whole


def test_a_search_goes_on_from_what_it_finds_and_only_from_its_own(
    tmp_path: Path, quick: list[dict[str, Any]]
) -> None:
    whole = searched(tmp_path)
    assert searched(tmp_path) == whole
    assert len(quick) == 4
    files = sorted(tmp_path.rglob("*.json"))
    files[-1].write_text("{")  # damaged
    files[-2].unlink()
    assert searched(tmp_path) == whole
    assert len(quick) == 6
    searched(tmp_path, settings=SETTINGS | {"epochs": 3})
    assert len(quick) == 10
    X, y, Xv, yv = rows()
    given = {"space": SPACE, "how": {"random": {"trials": 4}}, "settings": SETTINGS, "seed": 1}
    search(X + 1, y, Xv, yv, folder=tmp_path, **given)
    assert len(quick) == 14, "other rows, another search"


KILLED = """
import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])
from test_search import searched
searched(Path(sys.argv[1]), how={"random": {"trials": 30}})
"""


def test_a_killed_search_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"random": {"trials": 5}}
    other = {"random": {"trials": 30}}
    command = [sys.executable, "-c", KILLED.replace(str(other), str(how))]
    process = subprocess.Popen(
        [*command, str(tmp_path / "killed"), str(Path(__file__).parent)],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "killed").rglob("*.json"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    assert 2 <= len(before) < 5, "killed in the middle"

    resumed = searched(tmp_path / "killed", how=how)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert without_seconds(resumed) == without_seconds(searched(tmp_path / "whole", how=how))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"space": {"depth": [1]}}, "no setting 'depth' to draw; allowed: dropout"),
        ({"space": {"units": [8], "width": [1]}}, "no setting 'width'"),
        ({"space": {"units": []}}, "units is an empty list"),
        ({"space": {"units": {"from": 9, "to": 3}}}, "an empty range"),
        ({"space": {"units": {"min": 9, "to": 3}}}, "give from, to, and step or log"),
        ({"space": {"units": 8, "penalty": ["l3"]}}, "allowed: none, l1, l2"),
        ({"space": {"units": 8, "penalty": ["l1"]}}, "wants its penalty_rate"),
        ({"space": {"units": 8, "depth": {"from": 0.5, "to": 2}}}, "whole numbers"),
        ({"how": "bayes"}, "allowed: hyperband, random"),
        ({"how": {"random": {"factor": 3}}}, "allowed: trials"),
        ({"how": {"hyperband": {"factor": 1}}}, "from 2 on"),
        ({"space": {"optimizer": ["adamant"]}}, "no optimizer 'adamant'"),
        ({"space": {"units": [-8]}}, "-8 is no width"),
    ],
)
def test_a_search_that_is_none_is_told(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        searched(tmp_path, **changes)


def test_the_head_s_defaults_can_be_searched() -> None:
    assert set(DEFAULTS["dense"]) <= set(SETTINGS)

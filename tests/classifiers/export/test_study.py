"""All runs of a study are exported, and the best of them stands apart with its card."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from classifiers.compare import leaderboard
from classifiers.export.folder import read_exported
from classifiers.export.study import Seen, export_study
from classifiers.predict.model import load
from classifiers.spec import Choice
from features.errors import UserError

from ..mount.conftest import EMBEDDED, Data

AUGMENTED = replace(EMBEDDED, views=("identity", "augmented-1"))


@pytest.fixture
def runs(data: Data, tmp_path: Path, built_once: None) -> dict[Path, Seen]:
    found: dict[Path, Seen] = {}
    for head in ("lda", "nearest_mean"):
        features = data.run(EMBEDDED)
        run = tmp_path / "runs" / f"net.{head}.0"
        shutil.copytree(data.fit([features], head, Choice("all")), run)
        found[run] = [(features, None)]
    return found


def table(runs: dict[Path, Seen], tmp_path: Path) -> Path:
    # As evaluated in place, so that the names of the runs are those of their folders.
    for run in runs:
        text = (run / "metrics.json").read_text()
        head = run.name.split(".")[1]
        start, _, rest = text.partition('"run": "')
        text = start + f'"run": "{run.name}' + rest[rest.index('"') :]
        start, _, rest = text.partition('"backbone": "')
        (run / "metrics.json").write_text(start + '"backbone": "net' + rest[rest.index('"') :])
        assert f'"head": "{head}"' in text
    file = tmp_path / "leaderboard.csv"
    leaderboard([run / "metrics.json" for run in runs], file)
    return file


def times(runs: dict[Path, Seen]) -> Iterator[int]:
    for run in runs:
        yield (run / "model.keras").stat().st_mtime_ns


def test_only_what_was_fitted_anew_is_exported_anew(
    runs: dict[Path, Seen], tmp_path: Path, data: Data
) -> None:
    board, best = table(runs, tmp_path), tmp_path / "best"
    first = export_study(runs, board, best, study="mine")
    assert first.has("openvino/model.xml")
    assert load(best).predict(data.test[:3]).shape == (3, 10)
    before, form = list(times(runs)), (best / "openvino" / "model.xml").stat().st_mtime_ns
    export_study(runs, board, best, study="mine")
    assert list(times(runs)) == before
    assert (best / "openvino" / "model.xml").stat().st_mtime_ns == form
    changed, kept = runs
    # A fit of its own, though it comes out the same.
    text = (changed / "fit.json").read_text()
    (changed / "fit.json").write_text(text.rstrip() + "\n\n")
    (kept / "model.keras").chmod(0o600)
    export_study(runs, board, best, study="mine")
    after = list(times(runs))
    assert (after[0] > before[0], after[1] == before[1]) == (True, True)
    # What was damaged is made again.
    os.truncate(kept / "model.keras", 100)
    export_study(runs, board, best, study="mine")
    load(kept)


def test_the_best_that_can_be_exported_and_its_card(
    runs: dict[Path, Seen], tmp_path: Path, data: Data
) -> None:
    features = data.run(AUGMENTED)
    run = tmp_path / "runs" / "net.logistic.0"
    shutil.copytree(data.fit([features], "logistic", Choice("all", "mean")), run)
    every = {**runs, run: [(features, None)]}
    board = table(every, tmp_path)
    rows = board.read_text().splitlines()
    # It is the first, whatever it got.
    rows = [rows[0], *sorted(rows[1:], key=lambda row: ",logistic," not in row)]
    board.write_text("\n".join(rows) + "\n")
    found = export_study(every, board, tmp_path / "best", study="mine")
    assert found.run == f"net.{rows[2].split(',')[2]}.0"
    assert not read_exported(run)[1].files
    card = (tmp_path / "best" / "README.md").read_text()
    assert "`net.logistic.0` is better, and cannot be exported:" in card
    assert "augmented-1" in card
    for section in ("Use", "How good it is", "Data", "Backbone", "Limits", "How to repeat it"):
        assert f"\n## {section}\n" in card
    for name in (*found.classes, "Embedded", "ship with Headstart", "95 % interval"):
        assert name in card
    board.write_text("\n".join(rows[:2]) + "\n")
    export_study({run: every[run]}, board, tmp_path / "none", study="mine")
    assert "No run of the study can be exported" in (tmp_path / "none" / "README.md").read_text()
    with pytest.raises(UserError, match=r"no model: .*augmented-1"):
        load(tmp_path / "none")

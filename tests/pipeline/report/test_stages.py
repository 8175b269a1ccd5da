"""The cost of a study, stage by stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.cache.reader import record_file
from pipeline.report.runs import read_features, read_runs
from pipeline.report.stages import stages_section
from pipeline.report.words import NONE

from .conftest import Training, pass_seconds
from .test_build import LOGISTIC, OTHER, SVM, read

Make = Callable[..., Any]


def rows_of(section: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(g["name"], row["stage"]): row for g in section["stages"] for row in g["rows"]}


def test_seconds_add_up_over_passes_and_heads(make_study: Make) -> None:
    study = make_study([LOGISTIC, dict(SVM, peak=900_000_000), OTHER])
    runs = read_runs(study.metrics)
    section = stages_section(read_features(study.features), runs, [])
    rows = rows_of(section)
    assert list(rows) == [
        *(("Passes", stage) for stage in ("start", "read", "compute", "write")),
        *(("Heads", stage) for stage in ("search", "fit")),
        ("Evaluation", "predict"),
    ]
    spent = pass_seconds("mobilenet96") + pass_seconds("embedded") - 16
    assert rows["Passes", "compute"]["seconds"] == pytest.approx(spent)
    assert rows["Passes", "compute"]["images"] == 40_000
    assert rows["Heads", "fit"]["seconds"] == pytest.approx(3 * 3.2)
    assert rows["Evaluation", "predict"]["images"] == 6_000
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    assert [group["peak"] for group in section["stages"]] == [430_000_000, 900_000_000, None]


def test_what_was_not_written_down_is_left_open(make_study: Make, tmp_path: Path) -> None:
    study = make_study([LOGISTIC])
    record_file(study.features[0]).write_text("{}")
    rows = rows_of(stages_section(read_features(study.features), read_runs(study.metrics), []))
    assert rows["Passes", "compute"]["seconds"] is None
    page = read(study.report(tmp_path / "report.html"))
    assert page.tables["stages"][3][2] == NONE
    assert page.tables["stages"][0][-1] == "Images/s"


def test_a_vote_costs_nothing_of_its_own_and_a_training_stands_apart(make_study: Make) -> None:
    trained = Training(start="mobilenet96.logistic.0", pays=3)
    study = make_study(
        [LOGISTIC, dict(SVM, head="vote"), dict(LOGISTIC, head="tuned", training=trained)]
    )
    runs = read_runs(study.metrics)
    rows = rows_of(stages_section(read_features(study.features), runs, [{"seconds": 30.0}]))
    assert rows["Heads", "fit"]["seconds"] == pytest.approx(3.2)
    assert rows["Evaluation", "predict"]["images"] == 4_000
    assert rows["Boundaries", "all of it"]["seconds"] == 30.0
    assert rows["Trainings", "fit"]["seconds"] == 12.0


def test_the_page_has_a_table_of_it_with_memory_where_it_is_known(
    make_study: Make, tmp_path: Path
) -> None:
    page = read(make_study([dict(LOGISTIC, peak=812_000_000)]).report(tmp_path / "report.html"))
    titles, *rows = page.tables["stages"]
    assert titles[-1] == "Peak memory"
    by_stage = {row[0].split()[0]: row for row in rows}
    assert by_stage["start"][-1] == "430 MB"
    assert by_stage["search"][-1] == "812 MB"
    assert by_stage["compute"][4] == "169"
    assert by_stage["read"][4] == NONE
    assert "On disk: features" in page.text

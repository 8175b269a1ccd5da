"""What more layers and views bring: which runs are set beside each other, and against which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.brought import brought_section
from pipeline.report.difference import paired
from pipeline.report.runs import difference, read_runs
from pipeline.report.words import NONE, points

from .test_build import LOGISTIC, OTHER, SVM, read

Make = Callable[..., Any]
MEAN = dict(LOGISTIC, head="logistic-mean", view="mean", validation=0.73, test=0.74)
ALL = dict(LOGISTIC, head="logistic-all", layers="all", validation=0.75, test=0.76)
BOTH = dict(LOGISTIC, head="logistic-both", layers="all", view="mean", validation=0.78, test=0.79)


def test_runs_that_differ_in_layers_and_view_alone_stand_side_by_side(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study([BOTH, SVM, LOGISTIC, ALL, MEAN, OTHER])
    page = read(study.report(tmp_path / "report.html"))
    _, *rows = page.tables["layers-and-views"]
    assert [row[0].split()[0] for row in rows] == [
        "logistic",
        "logistic-mean",
        "logistic-all",
        "logistic-both",
    ]
    assert [row[1] for row in rows] == ["last", "last", "all", "all"]
    assert rows[0][6] == NONE
    runs = {run["head"]: run for run in read_runs(study.metrics) if run["backbone"] != "embedded"}
    gap = difference(runs["logistic-both"], runs["logistic"])
    assert rows[3][6].startswith(f"{points(gap.value)} [")
    assert "logistic-both on mobilenet96 gains +" in page.text


def test_the_difference_is_that_of_the_same_images(make_study: Make) -> None:
    import numpy as np

    runs = read_runs(make_study([ALL, LOGISTIC]).metrics)
    right = []
    for run in runs:
        with np.load(run["directory"] / "predictions.npz") as kept:
            right.append(kept["predicted"] == kept["labels"])
    (group,) = brought_section(runs)["brought"]
    assert group["base"]["head"] == "logistic"
    assert group["over_base"] == paired(*right)


@pytest.mark.parametrize(
    "results",
    [
        [LOGISTIC, SVM],
        [LOGISTIC, dict(ALL, backbone="embedded")],
        [LOGISTIC, dict(ALL, seed=1)],
        [LOGISTIC, dict(LOGISTIC, head="logistic-again")],
    ],
    ids=["another type", "another backbone", "another seed", "the same features"],
)
def test_without_such_runs_there_is_no_section(
    make_study: Make, tmp_path: Path, results: list[dict[str, Any]]
) -> None:
    page = make_study(results).report(tmp_path / "report.html")
    assert 'id="brought"' not in page
    assert 'href="#brought"' not in page


def test_the_better_of_two_heads_on_the_same_features_stands_for_them(make_study: Make) -> None:
    better = dict(ALL, head="logistic-better", validation=0.77)
    (group,) = brought_section(read_runs(make_study([LOGISTIC, ALL, better]).metrics))["brought"]
    assert [row["run"]["head"] for row in group["rows"]] == ["logistic", "logistic-better"]


def test_without_the_last_layer_alone_the_fewest_features_are_the_base(make_study: Make) -> None:
    (group,) = brought_section(read_runs(make_study([BOTH, ALL]).metrics))["brought"]
    assert group["base"]["head"] == "logistic-all"

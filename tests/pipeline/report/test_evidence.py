"""The page's further sections: what they say, and that each stands only where it has to say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.evidence import Evidence
from pipeline.report.pairs import pairs_matrix
from pipeline.report.pictures import thumbnails
from pipeline.report.words import MINUS, NONE

from .conftest import make_evidence
from .test_build import LOGISTIC, OTHER, SVM, read

Make = Callable[..., Any]
SECTIONS = ("apart-title", "over-seeds", "calibration", "further", "learning", "data")


def rows_of(page: Any, table: str) -> list[dict[str, str]]:
    titles, *rows = page.tables[table]
    return [dict(zip(titles, row, strict=True)) for row in rows]


def test_without_evidence_there_is_no_section_for_it(make_study: Make, tmp_path: Path) -> None:
    page = make_study([SVM]).report(tmp_path / "report.html")
    for section in SECTIONS:
        assert f'id="{section}"' not in page, section


def test_every_section_is_there_and_linked(make_study: Make, tmp_path: Path) -> None:
    seeds = [dict(LOGISTIC, seed=seed, temperature=1.4) for seed in range(2)]
    study = make_study([*seeds, SVM, OTHER])
    page = study.report(tmp_path / "report.html", make_evidence(study, tmp_path / "evidence"))
    for section in SECTIONS:
        assert f'id="{section}"' in page, section
    for section in SECTIONS[2:]:
        assert f'href="#{section}"' in page, section


def test_other_test_sets_stand_beside_the_own_one(make_study: Make, tmp_path: Path) -> None:
    study = make_study([LOGISTIC, SVM])
    page = read(study.report(tmp_path / "report.html", make_evidence(study, tmp_path / "evidence")))
    assert "shifted (500 images), another-camera (500 images)" in page.text
    for row in rows_of(page, "further-tests"):
        own, shifted = (
            float(row[title].partition(" ")[0]) for title in ("Own test split", "shifted")
        )
        assert own - shifted == pytest.approx(11, abs=0.15)
        assert row["shifted"].endswith(f"{MINUS}11.0")


def test_the_words_and_the_table_are_those_of_the_comparison(
    make_study: Make, tmp_path: Path
) -> None:
    near = dict(LOGISTIC, head="ridge", validation=0.71, test=0.719)
    study = make_study([LOGISTIC, near, SVM])
    evidence = make_evidence(study, tmp_path / "evidence")
    assert evidence.comparison is not None
    found = json.loads(evidence.comparison.read_text())
    page = read(study.report(tmp_path / "report.html", evidence))
    assert "These two cannot be told apart on 2,000 images" in page.text
    assert all(sentence in page.text for sentence in found["words"])
    best, ridge, svm = rows_of(page, "against")
    assert best["p, corrected"] == NONE
    assert "not told apart" in ridge["Head"]
    assert "not told apart" not in svm["Head"]
    pair = next(p for p in found["pairs"] if p["second"] == "mobilenet96.svm")
    assert svm["Only the best"] == f"{pair['only_first']:,.0f}"
    assert svm["Only it"] == f"{pair['only_second']:,.0f}"
    assert svm["p, corrected"] == "< 0.001"


def test_a_difference_that_the_correction_takes_back_is_said_to_be_none(
    make_study: Make, tmp_path: Path
) -> None:
    """The two alone differ by an interval that leaves out zero; among many pairs that is little."""
    study = make_study([LOGISTIC, SVM])
    evidence = make_evidence(study, tmp_path / "evidence")
    assert evidence.comparison is not None
    alone = read(study.report(tmp_path / "alone.html", evidence))
    found = json.loads(evidence.comparison.read_text())
    found["pairs"][0]["p_holm"] = 0.2
    evidence.comparison.write_text(json.dumps(found))
    among = read(study.report(tmp_path / "among.html", evidence))
    assert "The best can be told from it" in alone.text
    assert "corrected for their number" not in alone.text
    assert "Among all 1 pairs of heads" in among.text
    assert "corrected for their number it is none" in among.text


def test_forty_heads_are_compared_and_thirty_drawn(make_study: Make, tmp_path: Path) -> None:
    heads = [
        dict(LOGISTIC, head=f"head{k:02}", validation=0.8 - k / 200, test=0.8 - k / 200)
        for k in range(40)
    ]
    study = make_study(heads, images=400)
    evidence = make_evidence(study, tmp_path / "evidence")
    assert evidence.comparison is not None
    output = tmp_path / "report.html"
    page = read(study.report(output, evidence))
    assert "The first 30 of 40 heads are drawn" in page.text
    assert len(page.tables["against"]) == 41
    assert output.stat().st_size < 5_000_000
    spec = pairs_matrix(json.loads(evidence.comparison.read_text()))
    cells = spec["datasets"] if "datasets" in spec else spec["layer"][0]["data"]["values"]
    cells = next(iter(cells.values())) if isinstance(cells, dict) else cells
    assert len(cells) == 30 * 29
    better = {(cell["r"], cell["c"]) for cell in cells if cell["state"] == "is better"}
    worse = {(cell["c"], cell["r"]) for cell in cells if cell["state"] == "is worse"}
    assert better == worse
    assert (0, 29) in better


def test_calibration_before_and_after(make_study: Make, tmp_path: Path) -> None:
    study = make_study([dict(LOGISTIC, temperature=1.4), dict(SVM, temperature=0.8), OTHER])
    page = read(study.report(tmp_path / "report.html"))
    assert "is too sure of itself" in page.text
    assert "logits divided by 1.40" in page.text
    by_head = {row["Run"]: row for row in rows_of(page, "temperatures")}
    logistic = by_head["logistic on mobilenet96"]
    assert logistic["Error before"] == "0.021 [0.011, 0.031]"
    assert logistic["Error after"] == "0.009 [-0.001, 0.019]"
    svm = by_head["svm on mobilenet96"]
    assert (svm["Temperature"], svm["Log loss before"]) == ("0.80", NONE)
    assert svm["Log loss after"] == "0.651 [0.641, 0.661]"
    assert by_head["logistic on embedded"]["Error after"] == NONE


def test_seeds_stand_beside_the_single_rows(make_study: Make, tmp_path: Path) -> None:
    seeds = [dict(LOGISTIC, seed=s, validation=0.70 + s / 100) for s in range(3)]
    page = read(make_study([*seeds, SVM]).report(tmp_path / "report.html"))
    assert len(page.tables["leaderboard"]) == 5
    first, second = page.tables["over-seeds"][1:]
    assert first[:3] == ["logistic", "mobilenet96", "3"]
    assert first[3].startswith("71.0 % [")
    assert first[4] == "1.00"
    assert (second[2], second[4]) == ("1", NONE)


def test_learning_curves(make_study: Make, tmp_path: Path) -> None:
    study = make_study([LOGISTIC, SVM])
    page = read(study.report(tmp_path / "report.html", make_evidence(study, tmp_path / "e")))
    assert "Judged on the 1,000 validation images: the test split stays closed" in page.text
    rows = rows_of(page, "budgets")
    assert len(rows) == 10
    whole = next(row for row in rows if row["Budget"] == "100 %")
    assert (whole["Labels"], whole["Draws"]) == ("8,000", "3")
    assert whole["Accuracy"].startswith("73.0 % [")
    assert whole["Deviation"] == "1.0"
    failed = [row for row in rows if row["Draws"] == "2"]
    assert len(failed) == 1
    assert "too few images" in page.text


def test_what_may_be_wrong_with_the_data(make_study: Make, tmp_path: Path) -> None:
    study = make_study([LOGISTIC])
    evidence = make_evidence(study, tmp_path / "evidence")
    text = study.report(tmp_path / "report.html", evidence)
    page = read(text)
    assert "1 test image is also among the images to train or validate on" in page.text
    assert "1 test images are also there to train" in page.text
    assert page.tables["exact"][1] == [
        "test/dog/0417.png test, dog",
        "train/cat/0001.png train, cat",
    ]
    assert page.tables["near"][1][2] == "0.971"
    assert page.tags.count("img") == 7
    assert text.count("data:image/png;base64,") == 7
    assert "7 training or validation images are taken" in page.text
    gone = replace(evidence, dataset=None)
    assert read(study.report(tmp_path / "2.html", gone)).tags.count("img") == 0


def test_no_picture_of_the_test_split_is_taken(make_study: Make, tmp_path: Path) -> None:
    evidence = make_evidence(make_study([LOGISTIC]), tmp_path / "evidence")
    assert evidence.dataset is not None
    from features.datasets import open_images

    with open_images(evidence.dataset, None) as images:
        train, test = images.ids("train"), images.ids("test")
    assert set(thumbnails(evidence.dataset, None, [train[0], test[0]])) == {train[0]}


def test_evidence_that_found_nothing_says_so(make_study: Make, tmp_path: Path) -> None:
    study = make_study([LOGISTIC])
    none = {"across": 0, "in_test": 0, "within": 0, "otherwise_labelled": 0, "pairs": []}
    (tmp_path / "duplicates.json").write_text(json.dumps({"exact": none}))
    (tmp_path / "suspects.csv").write_text("image,given,suggested,score\n")
    evidence = Evidence(duplicates=tmp_path / "duplicates.json", suspects=tmp_path / "suspects.csv")
    page = read(study.report(tmp_path / "report.html", evidence))
    assert "No test image is also among the images to train or validate on" in page.text
    assert "No label is in doubt" in page.text

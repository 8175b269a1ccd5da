"""The report's page as text: what it says, and that it is one file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from features.errors import UserError
from pipeline.report.build import build_report
from pipeline.report.words import NONE

LOGISTIC = dict(backbone="mobilenet96", head="logistic", validation=0.72, test=0.72)
SVM = dict(backbone="mobilenet96", head="svm", validation=0.69, test=0.66, probabilities=False)
OTHER = dict(backbone="embedded", head="logistic", validation=0.71, test=0.76)

Make = Callable[..., Any]


class Reader(HTMLParser):
    """Collects a page's tables, its prose and the addresses that it names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.addresses: list[str] = []
        self.headings: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self._table = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += " "
        found = dict(attrs)
        self.addresses += [str(found[name]) for name in ("src", "href") if name in found]
        if tag in ("script", "style"):
            self._open.append(tag)
        if tag == "table":
            self._table = found.get("id") or f"table {len(self.tables)}"
            self.tables[self._table] = []
        if tag == "tr":
            self.tables[self._table].append([])
        if tag in ("td", "th"):
            self.tables[self._table][-1].append("")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._open.pop()
        if tag == "table":
            self._table = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            return
        self.text += data
        if self._table and self.tables[self._table] and self.tables[self._table][-1]:
            self.tables[self._table][-1][-1] += data


def read(page: str) -> Reader:
    """A page's content, spaces made plain."""
    reader = Reader(page.replace("\u00a0", " ").replace("&nbsp;", " "))
    reader.text = re.sub(r"\s+", " ", reader.text)
    for rows in reader.tables.values():
        for row in rows:
            row[:] = [re.sub(r"\s+", " ", cell).strip() for cell in row]
    return reader


def test_one_small_file_that_fetches_nothing(make_study: Make, tmp_path: Path) -> None:
    output = tmp_path / "out" / "report.html"
    page = make_study([LOGISTIC, OTHER]).report(output)
    assert list(output.parent.iterdir()) == [output]
    assert output.stat().st_size < 5_000_000
    assert all(address.startswith(("#", "data:")) for address in read(page).addresses)
    styles = "".join(re.findall("<style>.*?</style>", page, re.DOTALL))
    assert "url(" not in styles
    assert "@import" not in styles
    assert "default-src 'none'" in page


def test_equal_inputs_give_equal_bytes(make_study: Make, tmp_path: Path) -> None:
    study = make_study([LOGISTIC, SVM, OTHER])
    first = study.report(tmp_path / "1.html")
    assert study.report(tmp_path / "2.html") == first
    study.metrics.reverse()
    assert study.report(tmp_path / "3.html") == first


def test_validation_ranks_and_test_does_not(make_study: Make, tmp_path: Path) -> None:
    page = read(make_study([SVM, OTHER, LOGISTIC]).report(tmp_path / "report.html"))
    rows = page.tables["leaderboard"][1:]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        ("1", "logistic ★ best", "mobilenet96"),
        ("2", "logistic", "embedded"),
        ("3", "svm", "mobilenet96"),
    ]
    assert "logistic on mobilenet96 is best" in page.text
    assert "ranked by validation accuracy" in page.text
    assert "On the test images the second is ahead" in page.text
    assert "stands at rank 2 although it has the highest test accuracy" in page.text


def test_the_figures_are_those_of_the_metrics(make_study: Make, tmp_path: Path) -> None:
    study = make_study([LOGISTIC, SVM])
    page = read(study.report(tmp_path / "report.html"))
    titles, *rows = page.tables["leaderboard"]
    for row, run in zip(rows, study.runs().values(), strict=True):
        cells = dict(zip(titles, row, strict=True))
        test = run["test"]
        assert cells["Validation accuracy"] == f"{100 * run['validation']['accuracy']:.1f} %"
        assert cells["Test accuracy"] == (
            f"{100 * test['accuracy']:.1f} % [{100 * test['low']:.1f}, {100 * test['high']:.1f}]"
        )
        assert cells["Macro F1"] == (
            f"{100 * test['macro_f1']:.1f} % "
            f"[{100 * test['macro_f1_low']:.1f}, {100 * test['macro_f1_high']:.1f}]"
        )
        assert cells["Pass"] == "126 s"
        assert cells["Fit"] == "3.2 s"
    best = next(iter(study.runs().values()))
    per_class = page.tables["per-class"][1:]
    assert [row[0] for row in per_class] == best["classes"]
    for row, entry in zip(per_class, best["per_class"], strict=True):
        shown = [
            f"{100 * entry[part]:.1f} % "
            f"[{100 * entry[f'{part}_low']:.1f}, {100 * entry[f'{part}_high']:.1f}]"
            for part in ("precision", "recall", "f1")
        ]
        assert row[1:5] == [*shown, str(entry["support"])]
    matrix = next(rows for rows in page.tables.values() if rows[0][1:] == best["classes"])
    assert [[int(cell.split()[0]) for cell in row[1:]] for row in matrix[1:]] == best["confusion"]


def test_a_head_without_probabilities_has_dashes(make_study: Make, tmp_path: Path) -> None:
    titles, first, second = read(
        make_study([LOGISTIC, SVM]).report(tmp_path / "report.html")
    ).tables["leaderboard"]
    assert first[titles.index("Log loss")] == "0.702"
    assert second[titles.index("Log loss")] == NONE
    assert second[titles.index("Calibration error")] == NONE


def test_columns_that_no_run_has_are_left_out(make_study: Make, tmp_path: Path) -> None:
    page = read(make_study([SVM]).report(tmp_path / "report.html"))
    assert "Log loss" not in page.tables["leaderboard"][0]


def test_a_single_run(make_study: Make, tmp_path: Path) -> None:
    page = read(make_study([LOGISTIC]).report(tmp_path / "report.html"))
    assert "There is no other backbone or head to compare it with" in page.text
    assert "1 run, 1 backbone, 10 classes" in page.text


def test_another_seed_is_no_second(make_study: Make, tmp_path: Path) -> None:
    seeds = [dict(LOGISTIC, seed=seed, validation=0.72 - 0.001 * seed) for seed in range(3)]
    page = read(make_study([*seeds, SVM]).report(tmp_path / "report.html"))
    assert "The second is svm on mobilenet96" in page.text
    assert "Seed" in page.tables["leaderboard"][0]


def test_whether_two_runs_can_be_told_apart(make_study: Make, tmp_path: Path) -> None:
    far = read(make_study([LOGISTIC, SVM], name="far").report(tmp_path / "far.html"))
    assert "The best can be told from it" in far.text
    near = [LOGISTIC, dict(LOGISTIC, head="ridge", validation=0.71, test=0.719)]
    page = read(make_study(near, name="near").report(tmp_path / "near.html"))
    assert "The two cannot be told apart" in page.text
    assert "compared image by image" in page.text


def test_without_predictions_the_intervals_decide(make_study: Make, tmp_path: Path) -> None:
    study = make_study([LOGISTIC, SVM], predictions=False)
    assert "the predictions were not kept" in study.report(tmp_path / "report.html")


def test_warnings_are_shown(make_study: Make, tmp_path: Path) -> None:
    warning = "the best C=1 lies on the edge of its grid: widen it"
    page = read(
        make_study([LOGISTIC, dict(SVM, warnings=(warning,))]).report(tmp_path / "report.html")
    )
    assert warning in page.text
    assert "⚠ 1 warning" in page.tables["leaderboard"][2][1]


def test_a_hundred_classes(make_study: Make, tmp_path: Path) -> None:
    names = [f"class {label}" for label in range(100)]
    output = tmp_path / "report.html"
    page = read(make_study([LOGISTIC], classes=names).report(output))
    assert output.stat().st_size < 5_000_000
    assert [row[0] for row in page.tables["per-class"][1:]] == names


def test_a_class_without_test_images(make_study: Make, tmp_path: Path) -> None:
    study = make_study([LOGISTIC], classes=["cat", "dog", "owl"], images=2)
    page = read(study.report(tmp_path / "report.html"))
    assert page.tables["per-class"][3][4] == "0"


def test_what_the_user_named_stays_text(make_study: Make, tmp_path: Path) -> None:
    hostile = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "{{ 7 * 7 }}"]
    study = make_study(
        [dict(LOGISTIC, head="a&b", warnings=("<b>bold</b>",))],
        classes=hostile,
        text="# <script>alert(2)</script>",
        broken=[{"file": "<i>.png", "reason": "<u>"}],
    )
    plain = make_study([LOGISTIC], name="plain", classes=["a", "b", "c"])
    page = study.report(tmp_path / "report.html")
    assert "<script>alert" not in page
    reader = read(page)
    assert not {"img", "i", "u", "b"} & set(reader.tags)
    assert reader.tags.count("script") == read(plain.report(tmp_path / "p.html")).tags.count(
        "script"
    )
    assert [row[0] for row in reader.tables["per-class"][1:]] == hostile
    assert "# <script>alert(2)</script>" in reader.text
    assert "<i>.png" in reader.text
    assert "a&b" in reader.text


def test_the_data_inside_scripts_is_whole(make_study: Make, tmp_path: Path) -> None:
    names = ["</script>", "<!--", "&amp;"]
    page = make_study([LOGISTIC], classes=names).report(tmp_path / "report.html")
    found = re.search(r'id="confusion-spec">(.*?)</script>', page, re.DOTALL)
    assert found
    spec = json.loads(found[1])
    assert next(p["value"] for p in spec["params"] if p["name"] == "names") == names


def test_how_it_was_made(make_study: Make, tmp_path: Path) -> None:
    page = read(make_study([LOGISTIC, OTHER]).report(tmp_path / "report.html"))
    for fact in (
        "How far do frozen features go?",
        "Training images 8,000",
        "Test images 2,000",
        "Validation images 5,000, drawn from the training images by the seed",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5",
        "identity, mirror",
        "out_relu",
    ):
        assert fact in page.text
    rows = [row for table in page.tables.values() for row in table]
    assert ["versions · keras", "3.15.0"] in rows
    assert ["hardware · memory", "25 GB"] in rows
    assert ["backbone · size", "96, 96", "128, 128"] in rows


def test_headings_descend_one_step_at_a_time(make_study: Make, tmp_path: Path) -> None:
    page = read(make_study([LOGISTIC, OTHER]).report(tmp_path / "report.html"))
    levels = [int(heading[1]) for heading in page.headings]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert {"header", "nav", "main", "footer"} <= set(page.tags)


def test_a_study_without_runs_is_refused(tmp_path: Path) -> None:
    study = tmp_path / "empty.yaml"
    study.write_text("")
    with pytest.raises(UserError, match=r"empty\.yaml: the study has no run"):
        build_report("empty", study, [], [], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()

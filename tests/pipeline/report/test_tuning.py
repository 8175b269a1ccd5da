"""The page of a study that trains further: what that brought, and what others reported."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.report.difference import paired
from pipeline.report.epochs import epochs_chart
from pipeline.report.evidence import Evidence
from pipeline.report.published import published_section
from pipeline.report.runs import read_runs
from pipeline.report.words import MINUS, NONE
from pipeline.tuning import Published

from .conftest import Study, Training
from .test_build import LOGISTIC, OTHER, SVM, read
from .test_evidence import rows_of

Make = Callable[..., Any]

HEAD = "mobilenet96.logistic.0"
WHOLE = dict(
    LOGISTIC, head="whole", validation=0.74, test=0.75, training=Training(start=HEAD, pays=2)
)
TAIL = dict(LOGISTIC, head="tail", validation=0.73, training=Training(unfreeze={"last": 20}))
SCRATCH = dict(
    LOGISTIC,
    backbone="network",
    head="scratch",
    validation=0.6,
    test=0.6,
    training=Training(network=[{"conv": 32, "kernel": 3}, {"pool": 2}, "batch_normalization"]),
)
PROMISE = {
    "backbones": [{"features": "mobilenet96", "last": 0.34, "all": 0.46}],
    "hint": "Training mobilenet96 further is likely to pay.",
}


def gain(study: Study, first: str, second: str) -> str:
    """The difference of two runs as the page writes it."""
    runs = {run["run"]: run for run in read_runs(study.metrics)}
    right = []
    for name in (first, second):
        with np.load(runs[name]["directory"] / "predictions.npz") as kept:
            right.append(kept["predicted"] == kept["labels"])
    found = paired(*right)
    value, low, high = (
        f"{100 * number:+.1f}".replace("-", MINUS)
        for number in (found.value, found.low, found.high)
    )
    return f"{value} [{low}, {high}]"


def test_without_a_training_the_page_is_as_it_was(make_study: Make, tmp_path: Path) -> None:
    page = make_study([LOGISTIC, SVM]).report(tmp_path / "report.html")
    for part in ("tuning", "published", "confusion-1", "trainings-title"):
        assert f'id="{part}"' not in page, part
    assert 'id="confusion"' in page


def test_what_a_training_did_and_gained(make_study: Make, tmp_path: Path) -> None:
    study = make_study([LOGISTIC, WHOLE, TAIL, SCRATCH])
    page = read(study.report(tmp_path / "report.html"))
    gained = gain(study, "mobilenet96.whole.0", HEAD)
    assert gained.startswith("+3.")
    for said in (
        "It starts from the head logistic and trains all layers of the backbone with it",
        "It trains the last 20 layers of the backbone with a fresh top",
        "conv 32 (kernel 3), pool 2, batch_normalization, then the classes",
        "An epoch took 4.0 s, the median of 3, and all of them 12.0 s",
        "Kept is epoch 2, with 74.0 % on validation; it began with 67.0 %",
        "The boundary was cached; what is frozen is computed once. Its pass took 30.0 s and, by "
        "the seconds of these epochs, had paid after 2 of them",
        "Nothing was cached; images are drawn anew",
        f"it differs from that head by {gained.replace(' [', ' points [')}",
    ):
        assert said in page.text
    whole, tail, scratch = rows_of(page, "gains")
    assert whole["Over its start"] == gained
    assert tail["Over its start"] == scratch["Over its start"] == NONE
    assert scratch["Over the best frozen"] == gain(study, "network.scratch.0", HEAD)


def test_a_training_that_brought_nothing_keeps_what_it_began_with(
    make_study: Make, tmp_path: Path
) -> None:
    nothing = Training(start=HEAD, kept=0, losses=((0.9, 0.9),), pays=9)
    none_finished = Training(start=HEAD, kept=0, losses=())
    study = make_study(
        [LOGISTIC, dict(WHOLE, training=nothing), dict(TAIL, training=none_finished)]
    )
    page = read(study.report(tmp_path / "report.html"))
    assert "Kept is the network as it began, with 67.0 % on validation" in page.text
    assert "would have paid after 9 of them" in page.text
    assert "No epoch was finished" in page.text


def test_the_charts_mark_what_is_kept_and_what_it_began_with(
    make_study: Make, tmp_path: Path
) -> None:
    """Beside the figures of each epoch; a loss that is no number is left out."""
    losses = ((0.9, 0.8), (0.5, 0.6), (0.4, float("nan")))
    study = make_study([LOGISTIC, dict(WHOLE, training=Training(start=HEAD, losses=losses))])
    whole = read_runs(study.metrics)[0]
    spec = epochs_chart("loss", whole["run"], whole["tuning"])
    drawn = [row for rows in spec["datasets"].values() for row in rows]
    curves = [(row["curve"], row["epoch"], row["value"]) for row in drawn if "curve" in row]
    assert curves == [
        *(("training", epoch, loss) for epoch, loss in ((1, 0.9), (2, 0.5), (3, 0.4))),
        *(("validation", epoch, loss) for epoch, loss in ((0, 0.66), (1, 0.8), (2, 0.6))),
    ]
    assert {"epoch": 2} in drawn
    assert {"value": 0.66} in drawn
    json.dumps(spec, allow_nan=False)


def test_the_hint_beforehand(make_study: Make, tmp_path: Path) -> None:
    (tmp_path / "promise.json").write_text(json.dumps(PROMISE))
    evidence = Evidence(promise=tmp_path / "promise.json")
    study = make_study([LOGISTIC, WHOLE], name="further")
    page = read(study.report(tmp_path / "report.html", evidence))
    assert PROMISE["hint"] in page.text
    assert page.tables["promise"][1] == ["mobilenet96", "0.340", "0.460"]
    # Of a network that has seen nothing, frozen features say nothing.
    study = make_study([LOGISTIC, SCRATCH], name="nothing")
    page = read(study.report(tmp_path / "nothing.html", evidence))
    assert "promise" not in page.tables
    assert "Training from nothing" in page.text


def test_a_training_reads_as_one_in_the_tables_of_all_runs(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study([LOGISTIC, WHOLE, TAIL, SCRATCH])
    page = read(study.report(tmp_path / "report.html"))
    assert "4 runs, 1 backbone," in page.text
    whole, tail, _, scratch = rows_of(page, "leaderboard")
    assert whole["Features"] == "trains all layers from head logistic"
    assert tail["Features"] == "trains the last 20 layers with a fresh top"
    assert scratch["Backbone"] == "none"
    assert whole["Settings"] == "augmentation = {shift: 0.1}, epochs = 10, learning_rate = 0.0001"
    # The pass, the boundary's, what the head had cost, and the epochs.
    cost = next(rows for rows in page.tables.values() if "With the pass" in rows[0])
    assert cost[1][cost[0].index("With the pass")] == "172 s"
    assert "One pass through the backbone took 126 s in all" in page.text
    assert "The 3 trainings took 36.0 s; what they kept" in page.text
    rows = [row for table in page.tables.values() for row in table]
    assert ["unfreeze", "all", "{last: 20}", "all"] in rows


def test_matrices_of_the_best_of_each_kind_stand_side_by_side(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study([LOGISTIC, SVM, WHOLE, TAIL, SCRATCH])
    page = study.report(tmp_path / "report.html")
    titles = [
        re.sub("<.*?>", "", title)
        for title in re.findall(r'<h4 id="confusion-\d-title">(.*?)</h4>', page)
    ]
    assert [title.strip() for title in titles] == [
        "Trained from nothing: scratch",
        "On frozen features: logistic on mobilenet96",
        "Trained further: whole on mobilenet96",
    ]
    matrices = [rows[1:] for rows in read(page).tables.values() if rows[0][1:2] == ["airplane"]]
    runs = study.runs()
    for name, rows in zip(
        ("network.scratch.0", HEAD, "mobilenet96.whole.0"), matrices, strict=True
    ):
        shown = [[int(cell.split()[0]) for cell in row[1:]] for row in rows]
        assert shown == runs[name]["confusion"]


@pytest.mark.parametrize(("weights", "says"), [("imagenet", True), ("random", False)])
def test_published_figures_stand_beside_ours(
    make_study: Make, tmp_path: Path, weights: str, says: bool
) -> None:
    tail = dict(TAIL, training=Training(weights=weights))
    study = make_study([LOGISTIC, OTHER, tail, SCRATCH])
    ours = study.runs()["mobilenet96.tail.0"]["test"]
    published = Published(
        source="A. Body (2020), table 3",
        accuracy={"tail": 0.9, "scratch": 0.6012},
        remarks=["The epoch was chosen on the test images."],
    )
    evidence = Evidence(published=published)
    page = read(study.report(tmp_path / "report.html", evidence))
    assert "are those of A. Body (2020), table 3" in page.text
    assert "own, each on its 2,000 test images" in page.text
    assert published.remarks[0] in page.text
    first, second = rows_of(page, "published-figures")
    assert first["Published"] == "90.0 %"
    assert first["Here"].startswith(f"{100 * ours['accuracy']:.1f} % [")
    assert ("says nothing of the published figure" in page.text) == (not says)
    points = f"{100 * (ours['accuracy'] - 0.9):.1f} outside the brackets".replace("-", MINUS)
    assert first["Points"] == (points if says else NONE)
    # As it was reported, and no figure more or less.
    assert second["Published"] == "60.12 %"
    # Weights of a network from nothing are random by intent.
    assert second["Points"].endswith("within the brackets")


def test_a_head_on_random_weights_says_nothing_of_a_published_one(make_study: Make) -> None:
    runs = read_runs(make_study([LOGISTIC, OTHER]).metrics)
    published = Published(source="A. Body", accuracy={"logistic": 0.9})
    features = [
        {"file": file, "spec": {"backbone": {"weights": weights}}}
        for file, weights in (("mobilenet96", "random"), ("embedded", "embedded"))
    ]
    rows = published_section(published, runs, features)["published"]["rows"]
    assert {row["run"]["backbone"]: row["random"] for row in rows} == {
        "mobilenet96": True,
        "embedded": False,
    }

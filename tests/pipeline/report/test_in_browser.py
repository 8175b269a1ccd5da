"""The report in a real browser."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.evidence import Evidence
from pipeline.report.mistakes import write_failures
from pipeline.tuning import Published

from ...browser import SECONDS, Page, chromium, executable
from .conftest import Training, make_evidence
from .test_build import LOGISTIC
from .test_featuremap import make_map
from .test_mistakes import add_predictions


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if executable() is None:
        pytest.skip("Chromium is not on the PATH; install it to test the report as it is seen")
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def report(make_study: Callable[..., Any], tmp_path: Path) -> Path:
    output = tmp_path / "report.html"
    study = make_study(
        [
            dict(
                backbone="mobilenet96", head="logistic", validation=0.72, test=0.72, temperature=1.3
            ),
            dict(backbone="mobilenet96", head="svm", validation=0.70, test=0.71),
            dict(
                backbone="embedded",
                head="logistic-on-all-the-layers-of-a-long-name",
                validation=0.74,
                test=0.69,
                warnings=("the best C=1 lies on the edge of its grid: widen it",),
            ),
        ],
        broken=[{"file": "a/very/long/path/to/one/broken/image/file.png", "reason": "cut off"}],
    )
    study.report(output, make_evidence(study, tmp_path / "evidence"))
    return output


LEADERBOARD = "document.querySelector('#leaderboard')"
RANKS = f"[...{LEADERBOARD}.tBodies[0].rows].map(row => row.cells[0].textContent).join('')"


def header(title: str) -> str:
    """The JavaScript that finds a sort button of the leaderboard."""
    return (
        f"[...{LEADERBOARD}.querySelectorAll('thead button')]"
        f".find(button => button.textContent === '{title}')"
    )


@pytest.mark.parametrize("width", [360, 800, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_drawn_without_a_complaint_a_request_or_an_overflow(
    page: Page, report: Path, width: int, dark: bool
) -> None:
    assert_drawn(page, report, width, dark)


@pytest.mark.parametrize("width", [360, 1600])
def test_so_is_the_page_of_a_study_that_trains_further(
    page: Page, make_study: Callable[..., Any], tmp_path: Path, width: int
) -> None:
    losses = [(2 / epoch, 0.3 + 1.5 / epoch) for epoch in range(1, 61)]
    trained = Training(start="mobilenet96.logistic.0", losses=losses, kept=58, pays=12)
    own = Training(network=[{"conv": 32, "kernel": 3, "padding": "same"}, {"pool": 2}] * 4)
    study = make_study(
        [
            dict(backbone="mobilenet96", head="logistic", validation=0.72, test=0.72),
            dict(backbone="mobilenet96", head="whole", validation=0.8, test=0.79, training=trained),
            dict(backbone="network", head="scratch", validation=0.6, test=0.6, training=own),
        ]
    )
    published = Published(
        source="A. Body and others (2019): of images",
        accuracy={"logistic": 0.88, "whole": 0.8123, "scratch": 0.7},
        remarks=["The test images chose the epoch."],
    )
    study.report(tmp_path / "report.html", Evidence(published=published))
    assert_drawn(page, tmp_path / "report.html", width)


@pytest.fixture
def pictured(make_study: Callable[..., Any], tmp_path: Path) -> Path:
    """A page with a map of the features and pictures of failures."""
    study = make_study([LOGISTIC], classes=[str(label) for label in range(12)])
    features_map = make_map(study, tmp_path, 12, 20)
    dataset = tmp_path / "data" / "dataset.h5"
    add_predictions(study.metrics[0], dataset, None, 0.5)
    write_failures(study.metrics, dataset, None, tmp_path / "failures.json")
    evidence = Evidence(map=features_map, failures=tmp_path / "failures.json")
    study.report(tmp_path / "report.html", evidence)
    return tmp_path / "report.html"


@pytest.mark.parametrize("width", [360, 1600])
def test_so_is_the_page_with_pictures(page: Page, pictured: Path, width: int) -> None:
    assert_drawn(page, pictured, width)
    loaded = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert page.evaluate(f"document.images.length > 20 && {loaded}")


def test_a_mark_of_the_map_shows_its_image(page: Page, pictured: Path) -> None:
    page.problems.clear()
    page.open(pictured, 1600)
    marks = "document.querySelectorAll('#features-map .mark-symbol path')"
    assert page.evaluate(f"{marks}.length") == 240
    # The last one drawn lies on top of all others.
    page.click(f"{marks}[239]")
    tooltip = "document.querySelector('#vg-tooltip-element.visible')"
    deadline = time.monotonic() + SECONDS
    while not page.evaluate(f"{tooltip} !== null") and time.monotonic() < deadline:
        time.sleep(0.05)
    text = page.evaluate(f"{tooltip}.textContent")
    assert text.startswith("Class11Image"), text
    style = f"getComputedStyle({tooltip}.querySelector('.tile'))"
    assert page.evaluate(f"{style}.backgroundImage").startswith('url("data:image/png')
    # 16 pictures a row, each enlarged to 96 pixels: that of the last image is the last of 15 rows.
    assert page.evaluate(f"{style}.backgroundPosition") == "-1440px -1344px"
    assert page.evaluate(f"{style}.backgroundSize") == "1536px auto"
    assert page.problems == []


def test_a_class_of_the_map_is_picked_out_by_keyboard(page: Page, pictured: Path) -> None:
    page.open(pictured, 1600)
    shown = (
        "[...document.querySelectorAll('#features-map .mark-symbol path')]"
        ".filter(mark => mark.getAttribute('opacity') > 0.5).length"
    )
    assert page.evaluate(shown) == 240
    page.evaluate("document.querySelector('#features-map select').focus()")
    page.press("ArrowDown")
    deadline = time.monotonic() + SECONDS
    while page.evaluate(shown) == 240 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert page.evaluate(shown) == 20


def assert_drawn(page: Page, report: Path, width: int, dark: bool = False) -> None:
    """A report stands there whole, in a window so many pixels wide."""
    page.problems.clear()
    page.requests.clear()
    page.open(report, width, dark)
    assert page.problems == []
    fetched = [address for address in page.requests if not address.startswith("data:")]
    assert fetched == [report.resolve().as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # Only what scrolls in its own place, and can be reached there by keyboard, may be wider.
    assert (
        page.evaluate(
            """[...document.querySelectorAll("main *")].filter(element =>
            element.getBoundingClientRect().right > innerWidth + 1
            && !element.closest("[tabindex='0'], .sr-only")).map(e => e.outerHTML.slice(0, 80))"""
        )
        == []
    )


@pytest.mark.parametrize("width", [360, 1600])
def test_a_header_sorts_by_mouse_and_by_keyboard(page: Page, report: Path, width: int) -> None:
    page.open(report, width)
    assert page.evaluate(RANKS) == "123"
    state = f"{header('Test accuracy')}.parentElement.getAttribute('aria-sort')"
    page.click(header("Test accuracy"))
    assert page.evaluate(RANKS) == "231"
    assert page.evaluate(state) == "descending"
    page.press("Enter")
    assert page.evaluate(RANKS) == "132"
    assert page.evaluate(state) == "ascending"
    page.click(header("Backbone"))
    assert page.evaluate(RANKS) == "132"
    assert page.evaluate(f"{LEADERBOARD}.querySelectorAll('[aria-sort]').length") == 1


SHOWN = (
    f"[...{LEADERBOARD}.tBodies[0].rows].filter(row => row.offsetHeight)"
    ".map(row => row.cells[0].textContent).join('')"
)
FILTER = "document.querySelector('[data-filter]')"
STATUS = f"{FILTER}.querySelector('[role=status]').textContent"


@pytest.mark.parametrize("width", [360, 1600])
def test_the_leaderboard_is_filtered_by_keyboard_while_it_is_sorted(
    page: Page, make_study: Callable[..., Any], tmp_path: Path, width: int
) -> None:
    accuracies = {("a", "svm"): 0.9, ("b", "svm"): 0.8, ("a", "ridge"): 0.6, ("b", "ridge"): 0.7}
    accuracies |= {("a", "knn"): 0.5, ("b", "knn"): 0.4}
    study = make_study(
        [
            dict(backbone=f"backbone-{backbone}", head=head, validation=share, test=share)
            for (backbone, head), share in accuracies.items()
        ],
        images=400,
    )
    study.report(tmp_path / "report.html")
    page.open(tmp_path / "report.html", width)
    assert (page.evaluate(SHOWN), page.evaluate(STATUS)) == ("123456", "6 of 6 runs")
    assert page.evaluate(f"{FILTER}.querySelector('[aria-live=polite]') !== null")
    page.evaluate(f"{FILTER}.querySelector('input').focus()")
    page.call("Input.insertText", text="RIDGE backbone")
    assert (page.evaluate(SHOWN), page.evaluate(STATUS)) == ("34", "2 of 6 runs")
    page.click(header("Test accuracy"))
    page.press("Enter")
    assert page.evaluate(SHOWN) == "43"
    page.evaluate(f"{FILTER}.querySelector('input').value = ''")
    page.evaluate(f"{FILTER}.querySelector('select').focus()")
    page.press("ArrowDown")
    assert page.evaluate(f"{FILTER}.querySelector('select').value") == "backbone-a"
    assert (page.evaluate(SHOWN), page.evaluate(STATUS)) == ("541", "3 of 6 runs")
    page.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert len(page.evaluate(SHOWN)) == 6
        assert page.evaluate(f"getComputedStyle({FILTER}).display") == "none"
    finally:
        page.call("Emulation.setEmulatedMedia", media="")


def test_few_runs_need_no_filter(page: Page, report: Path) -> None:
    page.open(report, 1600)
    assert page.evaluate(f"{FILTER} === null")


def test_the_confusion_matrix_shows_counts_or_shares(page: Page, report: Path) -> None:
    page.open(report, 1600)
    figures = "[...document.querySelectorAll('#confusion svg text')].map(t => t.textContent)"
    counts = page.evaluate(figures)
    page.click("document.querySelector('#confusion input[value=shares]')")
    deadline = time.monotonic() + SECONDS
    while (shares := page.evaluate(figures)) == counts and time.monotonic() < deadline:
        time.sleep(0.05)
    assert counts != shares
    assert {"airplane", "truck"} <= set(counts) & set(shares)


def test_a_mark_tells_its_run(page: Page, report: Path) -> None:
    page.open(report, 1600)
    mark = "document.querySelector('#scatter .mark-symbol path')"
    page.click(mark)
    tooltip = "document.querySelector('#vg-tooltip-element.visible')?.textContent ?? ''"
    deadline = time.monotonic() + SECONDS
    while not (text := page.evaluate(tooltip)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "embedded.logistic-on-all-the-layers-of-a-long-name.0" in text
    assert "pass" in text


def test_class_names_of_the_user_run_no_script(
    page: Page, make_study: Callable[..., Any], tmp_path: Path
) -> None:
    hostile = "</script><script>document.title = 'broken into'</script>"
    study = make_study(
        [dict(backbone="b", head="h", validation=0.8, test=0.8)],
        classes=[hostile, "<img src=x onerror='document.title=1'>"],
        text=hostile,
    )
    study.report(tmp_path / "report.html")
    page.problems.clear()
    page.open(tmp_path / "report.html", 800)
    assert page.problems == []
    assert page.evaluate("document.title") == "cifar10 · Headstart report"
    names = "[...document.querySelectorAll('#per-class tbody th')].map(cell => cell.textContent)"
    assert page.evaluate(names)[0] == hostile

"""Puts the report's page together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from classifiers.cost import pareto
from features.errors import UserError
from features.files import whole_file
from pipeline.report import charts, words
from pipeline.report import runs as tables
from pipeline.report.brought import brought_section
from pipeline.report.evidence import (
    Evidence,
    calibration_section,
    comparison_section,
    curves_section,
    data_section,
    further_section,
    seeds_section,
)
from pipeline.report.featuremap import map_section
from pipeline.report.mistakes import mistakes_section
from pipeline.report.pairs import STATES
from pipeline.report.published import published_section
from pipeline.report.runs import KINDS, Run
from pipeline.report.stages import stages_section
from pipeline.report.tuning import boundaries_of, settings_section, tuning_section

TEMPLATES = Path(__file__).parent / "templates"
SHOWN = ("seconds", "images_per_second", "peak_memory_bytes", "channels", "dataset")
"""What the page shows of a pass's record by other means than the table of all the rest."""

FILTERED_FROM = 6
"""From so many runs on the leaderboard can be filtered."""

CONFUSED = 10
"""How many confused pairs of classes are listed."""


def build_report(
    study: str,
    study_file: Path,
    metrics: Sequence[Path],
    features: Sequence[Path],
    output: Path,
    evidence: Evidence | None = None,
) -> None:
    """Writes a study's report: one HTML file that needs no network.

    Equal inputs give equal bytes.

    Args:
        study: The study's name.
        study_file: Its YAML file, which the report quotes.
        metrics: The metrics.json of each run. A predictions.npz beside it sharpens the comparison
            of the best two runs.
        features: The features files that the runs are made from.
        output: The HTML file to write.
        evidence: What else was found out; a section for each.

    Raises:
        UserError: There is no run.
    """
    if not metrics:
        raise UserError(f"{study_file}: the study has no run to report; name a backbone and a head")
    runs = tables.read_runs(metrics)
    evidence = evidence or Evidence()
    described = tables.read_features(features)
    page = (
        _environment()
        .get_template("page.html")
        .render(
            study=study,
            study_text=study_file.read_text(encoding="utf-8"),
            study_file=study_file.name,
            vega=Markup(charts.vega_javascript()),
            states=STATES,
            abridged=any(len(run["told"]) < len(run["settings"]) for run in runs),
            **_best(runs),
            **tuning_section(runs, evidence.promise),
            **published_section(evidence.published, runs, described),
            **brought_section(runs),
            **_cost(runs),
            **stages_section(described, runs, boundaries_of(runs)),
            **comparison_section(evidence.comparison, runs[0], tables.second_best(runs)),
            **seeds_section(runs),
            **_failures(runs[0]),
            **mistakes_section(evidence.failures),
            **map_section(evidence.map, runs),
            **_side_by_side(runs),
            **calibration_section(runs),
            **further_section(evidence.further, runs),
            **curves_section(evidence.curves),
            **data_section(evidence),
            **_making(described),
            **settings_section(runs),
        )
    )
    with whole_file(output) as part:
        part.write_text(page, encoding="utf-8")


def _environment() -> Environment:
    """The templates, which escape all that a user may have named."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for word in (
        words.percent,
        words.interval,
        words.ends,
        words.p_value,
        words.points,
        words.decimal,
        words.seconds,
        words.size,
        words.count,
        words.rate,
        words.value,
        words.settings,
        words.seen,
        words.temperature,
        words.trained,
        words.layers,
    ):
        environment.filters[word.__name__] = word
    environment.filters["spec"] = lambda chart: Markup(charts.embedded(chart))
    return environment


def _best(runs: Sequence[Run]) -> dict[str, Any]:
    """What the first section says: the order of the runs, the best and the second."""
    second = tables.second_best(runs)
    low = min(run["test"]["low"] for run in runs)
    high = max(run["test"]["high"] for run in runs)
    return {
        "runs": runs,
        "best": runs[0],
        "second": second,
        "difference": tables.difference(runs[0], second) if second else None,
        "highest_on_test": max(runs, key=lambda run: run["test"]["accuracy"]),
        "scale": {"low": low, "high": high, "width": (high - low) or 1},
        "shown": {
            name: any(run["test"][name] is not None for run in runs)
            for name in ("top5_accuracy", "log_loss", "calibration_error")
        },
        "filtered_from": FILTERED_FROM,
        "several_seeds": len({run["seed"] for run in runs}) > 1,
    }


def _cost(runs: Sequence[Run]) -> dict[str, Any]:
    """What the second section says: the seconds, and which runs are worth them."""
    front = pareto(
        [run["total_seconds"] for run in runs], [run["test"]["accuracy"] for run in runs]
    )
    heads = [run for run in runs if not run["tuning"]]
    trainings = [run for run in runs if run["tuning"]]
    boundaries = boundaries_of(runs)
    kept = {boundary["file"] for boundary in boundaries}
    passes = {
        name: taken for run in runs for name, taken in run["passes"].items() if name not in kept
    }
    return {
        "front": [run for run, on_front in zip(runs, front, strict=True) if on_front],
        "scatter": charts.accuracy_against_seconds(runs, front),
        "keys": charts.keys(runs),
        "backbones": len(passes),
        "boundaries": boundaries,
        "pass_seconds": None if None in passes.values() else sum(passes.values()),
        "heads": len(heads),
        # A vote's seconds are those of its heads.
        "head_seconds": sum(
            run["total_seconds"] - (run["seconds"]["pass"] or 0)
            for run in heads
            if run["type"] != "vote"
        ),
        # The search of a training is that of the head that it starts from.
        "tuned_seconds": sum(run["seconds"]["fit"] for run in trainings),
    }


def _failures(best: Run) -> dict[str, Any]:
    """What the third section says of the best run."""
    confused = tables.confusions(best, len(best["classes"]) ** 2)
    return {
        "confused": confused[:CONFUSED],
        "taken_for": {pair["true"]: pair for pair in reversed(confused)},
        "weakest": sorted(
            (entry for entry in best["per_class"] if entry["support"]),
            key=lambda entry: entry["recall"],
        )[:3],
        "many": len(best["classes"]) > charts.LABELLED,
        "heat_map": charts.confusion_matrix(best),
        "cell_height": charts.cell_height(len(best["classes"])),
        "shares": tables.shares(best["confusion"]),
    }


def _side_by_side(runs: Sequence[Run]) -> dict[str, Any]:
    """The confusion matrices of the best run of each kind, where anything was trained further."""
    best = [run for kind in KINDS if (run := tables.best_of(runs, kind))]
    return {
        "matrices": [
            {
                "run": run,
                "chart": charts.confusion_matrix(run, shares=True),
                "shares": tables.shares(run["confusion"]),
            }
            for run in best
        ]
        if any(run["tuning"] for run in runs)
        else []
    }


def _making(described: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the last section says of the features files."""
    ran_on = [
        {name: content for name, content in file["record"].items() if name not in SHOWN}
        for file in described
    ]
    return {
        "features": described,
        "broken": described[0]["record"]["dataset"]["broken"] if described else [],
        "spec_rows": tables.common([dict(words.flatten(file["spec"])) for file in described]),
        "record_rows": tables.common([dict(words.flatten(record)) for record in ran_on]),
    }

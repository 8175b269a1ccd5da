"""The map of the features: what lies beside what, for a head that sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from classifiers.compare import ranked
from classifiers.plane import NEIGHBOURS, mixed, on_a_plane
from classifiers.spec import Choice
from classifiers.store import read_json, write_json
from pipeline.report.charts import COLOURS, LABELLED, SHAPES, finished
from pipeline.report.pictures import sprite
from pipeline.report.runs import Run

SEED = 0
HEIGHT = 560

NO_FEATURES = ("vote", "fine_tune")
"""The types of runs that see no cached features of their own."""


def write_map(
    metrics: Sequence[Path],
    features: Sequence[Path],
    dataset: Path,
    source: Path | None,
    output: Path,
) -> None:
    """Lays training and validation images on a plane by the features that the best head sees.

    The best on validation of those that see cached features. The JSON file holds that `run`, how
    the plane was made, `images` (how many, and `of` how many), the `classes`, of each image its
    `ids`, `labels`, `x` and `y`, the classes that lie `beside` each other, and a `sprite` with a
    tiny picture of each image, in the same order, or nothing where the images have gone.

    Args:
        metrics: The metrics.json of each run.
        features: The features files of the study.
        dataset: The dataset file.
        source: The folder that the images come from, where they are files in a folder.
        output: The JSON file.

    Raises:
        UserError: A file is missing or damaged.
    """
    run = next(run for run in ranked(metrics) if run["type"] not in NO_FEATURES)
    files = {path.stem: path for path in features}
    plane = on_a_plane([files[name] for name in run["passes"]], Choice.of(run), seed=SEED)
    write_json(
        output,
        {
            "run": run["run"],
            "images": len(plane.ids),
            "of": plane.of,
            "dimensions": plane.dimensions,
            "components": plane.components,
            "perplexity": plane.perplexity,
            "seed": SEED,
            "classes": plane.classes,
            "neighbours": NEIGHBOURS,
            "beside": mixed(plane),
            "ids": plane.ids,
            "labels": plane.labels.tolist(),
            "x": [round(float(x), 4) for x in plane.places[:, 0]],
            "y": [round(float(y), 4) for y in plane.places[:, 1]],
            "sprite": sprite(dataset, source, plane.ids),
        },
    )


def map_section(path: Path | None, runs: Sequence[Run]) -> dict[str, Any]:
    """What the page says of the map, where there is one."""
    if path is None:
        return {"map": None}
    found = read_json(path)
    keys = looks_of(found["classes"]) if len(found["classes"]) <= LABELLED else {}
    return {
        "map": {
            **found,
            "run": next(run for run in runs if run["run"] == found["run"]),
            "chart": map_chart(found),
            "looks": keys,
            "most_mixed": min(found["beside"], key=lambda entry: entry["same"]),
        }
    }


def looks_of(classes: Sequence[str]) -> dict[str, dict[str, str]]:
    """The colour and the shape of each class; up to 64 no two have both in common."""
    return {
        name: {
            "colour": f"var(--c{place % COLOURS + 1})",
            "shape": SHAPES[(place + place // COLOURS) % len(SHAPES)],
        }
        for place, name in enumerate(classes)
    }


def map_chart(found: Mapping[str, Any]) -> dict[str, Any]:
    """The images on their plane; one class can be picked out.

    Args:
        found: What `write_map` wrote.
    """
    classes: list[str] = found["classes"]
    chosen = looks_of(classes)
    rows = [
        {"x": x, "y": y, "c": label, "n": place, "i": name}
        for place, (x, y, label, name) in enumerate(
            zip(found["x"], found["y"], found["labels"], found["ids"], strict=True)
        )
    ]
    # A class is its number, for a user may have named two classes as Vega names nothing.
    places = list(range(len(classes)))
    pick = alt.binding_select(
        options=[-1, *places], labels=["all", *classes], name="Pick out a class: "
    )
    axis = alt.Axis(labels=False, ticks=False, grid=False, domain=False)
    span = [-0.02, 1.02]
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .transform_calculate(Class="names[datum.c]", Image="datum.i", tile="datum.n")
        .mark_point(filled=True, size=34, stroke="var(--paper)", strokeWidth=0.4, aria=False)
        .encode(
            x=alt.X("x:Q", title=None, axis=axis, scale=alt.Scale(domain=span, nice=False)),
            y=alt.Y("y:Q", title=None, axis=axis, scale=alt.Scale(domain=span, nice=False)),
            color=alt.Color(
                "c:N",
                legend=None,
                scale=alt.Scale(domain=places, range=[chosen[name]["colour"] for name in classes]),
            ),
            shape=alt.Shape(
                "c:N",
                legend=None,
                scale=alt.Scale(domain=places, range=[chosen[name]["shape"] for name in classes]),
            ),
            opacity=alt.condition("pick < 0 || pick == datum.c", alt.value(0.9), alt.value(0.07)),
            tooltip=[alt.Tooltip(f"{field}:N") for field in ("tile", "Class", "Image")],
        )
        .add_params(
            alt.param(name="names", value=classes), alt.param(name="pick", value=-1, bind=pick)
        )
        .properties(
            description=(
                f"Map of {len(rows)} images by their features: images that are alike lie together. "
                "The table of this section says which classes lie among which."
            ),
            view=alt.ViewBackground(stroke="var(--line)"),
            height=HEIGHT,
        )
    )
    return finished(chart)

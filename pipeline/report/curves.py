"""The reliability curve and the learning curves, as Vega-Lite specifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from pipeline.report import words
from pipeline.report.charts import COLOURS, SHAPES, finished, steps

PERCENT = "format(datum.value * 100, '.3~f') + ' %'"


def reliability_chart(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Accuracy against confidence, one mark a bin with its interval.

    Args:
        curves: By name, as `classifiers.calibration.reliability` gives them.
    """
    rows = [
        {
            "curve": name,
            "confidence": place["confidence"],
            "accuracy": place["accuracy"],
            "low": place["low"],
            "high": place["high"],
            "Curve": name,
            "Images": words.count(place["images"]),
            "Confidence": words.percent(place["confidence"]),
            "Accuracy": f"{words.percent(place['accuracy'])} "
            + words.interval(place["low"], place["high"]),
        }
        for name, curve in curves.items()
        for place in curve
    ]
    unit = alt.Scale(domain=[0, 1], nice=False)
    x = alt.X(
        "confidence:Q",
        title="Confidence",
        scale=unit,
        axis=alt.Axis(labelExpr=PERCENT, grid=False, tickCount=5),
    )
    y = alt.Y(
        "accuracy:Q",
        title="Accuracy",
        scale=unit,
        axis=alt.Axis(labelExpr=PERCENT, tickCount=5),
    )
    line = (
        alt.Chart(
            alt.InlineData(
                values=[{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]
            )
        )
        .mark_line(stroke="var(--muted)", strokeDash=[5, 4], aria=False)
        .encode(x=x, y=y)
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x)
    colour, shape = coloured("curve", list(curves))
    bars = base.mark_rule(strokeWidth=2, opacity=0.55, aria=False).encode(
        y=alt.Y("low:Q"), y2="high:Q", color=colour
    )
    marks = base.mark_point(filled=True, size=70, opacity=1, stroke="var(--paper)").encode(
        y=y,
        color=colour,
        shape=shape,
        tooltip=[
            alt.Tooltip(f"{field}:N") for field in ("Curve", "Images", "Confidence", "Accuracy")
        ],
    )
    chart = alt.layer(line, bars, marks).properties(
        description=(
            "Reliability curve: accuracy against confidence in bins, with 95 % intervals. On the "
            "dashed line both are the same."
        ),
        height=320,
    )
    return finished(chart)


def learning_chart(points: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Accuracy against the number of training labels, one line a run.

    Args:
        points: Each with `run`, `images`, `budget`, `accuracy` (the mean over the draws), `low`,
            `high` and `each` (the accuracies of the draws).
        names: The runs, in the order of their colours.
    """
    rows = [
        {
            **{name: point[name] for name in ("run", "images", "accuracy", "low", "high")},
            "Run": point["run"],
            "Labels": f"{words.count(point['images'])} ({point['budget']})",
            "Accuracy": f"{words.percent(point['accuracy'])} "
            + words.interval(point["low"], point["high"]),
        }
        for point in points
    ]
    draws = [
        {"run": point["run"], "images": point["images"], "accuracy": accuracy}
        for point in points
        for accuracy in point["each"]
    ]
    images = [row["images"] for row in rows]
    lows, highs = [row["low"] for row in rows], [row["high"] for row in rows]
    x = alt.X(
        "images:Q",
        title="Training labels (log scale)",
        scale=alt.Scale(type="log", domain=[min(images) / 1.2, max(images) * 1.2], nice=False),
        axis=alt.Axis(
            values=steps(min(images) / 1.2, max(images) * 1.2),
            labelExpr="format(datum.value, ',~f')",
            labelOverlap=True,
            grid=False,
        ),
    )
    y = alt.Y(
        "accuracy:Q",
        title="Accuracy",
        scale=alt.Scale(domain=[max(0, min(lows) - 0.02), min(1, max(highs) + 0.02)], nice=False),
        axis=alt.Axis(labelExpr=PERCENT, tickCount=6),
    )
    colour, shape = coloured("run", names)
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, color=colour)
    lines = base.mark_line(strokeWidth=1.5, aria=False).encode(y=y)
    bars = base.mark_rule(strokeWidth=2, opacity=0.45, aria=False).encode(
        y=alt.Y("low:Q"), y2="high:Q"
    )
    each = (
        alt.Chart(alt.InlineData(values=draws))
        .mark_tick(orient="horizontal", width=9, thickness=1.5, aria=False)
        .encode(x=x, y=y, color=colour)
    )
    marks = base.mark_point(filled=True, size=70, opacity=1, stroke="var(--paper)").encode(
        y=y,
        shape=shape,
        tooltip=[alt.Tooltip(f"{field}:N") for field in ("Run", "Labels", "Accuracy")],
    )
    chart = alt.layer(lines, bars, each, marks).properties(
        description=(
            f"Learning curves of {len(names)} runs: accuracy against the number of training "
            "labels. The table of this section holds the same figures."
        ),
        height=360,
    )
    return finished(chart)


def looks(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The colour and the shape of each name in these charts, for their legends."""
    return {
        name: {"colour": f"var(--c{place % COLOURS + 1})", "shape": SHAPES[place % len(SHAPES)]}
        for place, name in enumerate(names)
    }


def coloured(field: str, names: Sequence[str]) -> tuple[alt.Color, alt.Shape]:
    """The same as encodings of a field that holds the names."""
    chosen = looks(names)
    colours, shapes = ([chosen[name][look] for name in names] for look in ("colour", "shape"))
    return (
        alt.Color(f"{field}:N", legend=None, scale=alt.Scale(domain=list(names), range=colours)),
        alt.Shape(f"{field}:N", legend=None, scale=alt.Scale(domain=list(names), range=shapes)),
    )

"""The report's charts, as Vega-Lite specifications.

Colours are CSS variables of the page, so that a chart follows light, dark and print by itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from pipeline.report import words
from pipeline.report.runs import PARTS, Run

COLOURS = 8
"""How many colours the page's palette has: --c1 to --c8."""

SHAPES = (
    "M-1,0A1,1,0,1,0,1,0A1,1,0,1,0,-1,0Z",
    "M-.9,-.9H.9V.9H-.9Z",
    "M0,-1.1L1.1,.9H-1.1Z",
    "M0,-1.2L1.2,0L0,1.2L-1.2,0Z",
    "M0,1.1L1.1,-.9H-1.1Z",
    "M-.4,-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
    "M1.1,0L-.9,1.1V-1.1Z",
    "M-1.1,0L.9,1.1V-1.1Z",
)
"""SVG paths about the origin: circle, square, triangles, diamond, cross."""

LOG_FROM = 8
"""The spread, largest by smallest, from which seconds are drawn on a log axis."""

LABELLED = 20
"""Up to this many classes the cells of a confusion matrix carry their figure."""

SLANTED = 11
"""Up to this many characters a class name is written aslant; a longer one might leave the chart."""


def vega_javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that needs nothing else."""
    import vl_convert

    version = alt.SCHEMA_VERSION.rpartition(".")[0]
    # The package's stub asks for a snippet, which the function itself does without.
    script: str = vl_convert.javascript_bundle(vl_version=version)  # type: ignore[call-arg]
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def embedded(spec: dict[str, Any]) -> str:
    """A specification as JSON that may stand inside a script element."""
    text = json.dumps(spec, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def keys(runs: Sequence[Run]) -> dict[str, dict[str, str]]:
    """The colour of each backbone and the shape of each head in the charts."""
    backbones = sorted({run["backbone"] for run in runs})
    heads = sorted({run["head"] for run in runs})
    return {
        "colours": {name: f"var(--c{place % COLOURS + 1})" for place, name in enumerate(backbones)},
        "shapes": {name: SHAPES[place % len(SHAPES)] for place, name in enumerate(heads)},
    }


def accuracy_against_seconds(runs: Sequence[Run], front: Sequence[bool]) -> dict[str, Any]:
    """Test accuracy with its interval against the seconds that a run took.

    Args:
        runs: The runs by rank.
        front: Of each run, whether none is both cheaper and more accurate.
    """
    rows = [
        {
            "rank": run["rank"],
            "seconds": run["total_seconds"],
            "accuracy": run["test"]["accuracy"],
            "low": run["test"]["low"],
            "high": run["test"]["high"],
            "backbone": run["backbone"],
            "head": run["head"],
            "front": bool(on_front),
            "Run": run["run"],
            "Test accuracy": f"{words.percent(run['test']['accuracy'])} "
            + words.interval(run["test"]["low"], run["test"]["high"]),
            "Seconds": f"{words.seconds(run['total_seconds'])} ("
            + ", ".join(f"{part} {words.seconds(run['seconds'][part])}" for part in PARTS)
            + ")",
            "Settings": words.settings(run["told"]) or words.NONE,
        }
        for run, on_front in zip(runs, front, strict=True)
    ]
    chosen = keys(runs)
    spent = [row["seconds"] for row in rows]
    log = min(spent) > 0 and max(spent) / min(spent) >= LOG_FROM
    lows, highs = [row["low"] for row in rows], [row["high"] for row in rows]
    margin = 0.06 * max(max(highs) - min(lows), 0.02)

    seconds = alt.X(
        "seconds:Q",
        title="Seconds of pass, search and fit" + (" (log scale)" if log else ""),
        scale=alt.Scale(type="log" if log else "linear", domain=_domain(spent, log), nice=False),
        axis=alt.Axis(
            values=steps(*_domain(spent, log)) if log else alt.Undefined,
            labelExpr="format(datum.value, ',~f')",
            labelOverlap=False,
            tickCount=alt.Undefined if log else 5,
            grid=False,
        ),
    )
    accuracy = alt.Y(
        "accuracy:Q",
        title="Test accuracy",
        scale=alt.Scale(
            domain=[max(min(lows) - margin, 0), min(max(highs) + margin, 1)], nice=False, zero=False
        ),
        axis=alt.Axis(labelExpr="format(datum.value * 100, '.3~f') + ' %'", tickCount=6),
    )
    colour = alt.Color(
        "backbone:N",
        legend=None,
        scale=alt.Scale(domain=list(chosen["colours"]), range=list(chosen["colours"].values())),
    )
    shape = alt.Shape(
        "head:N",
        legend=None,
        scale=alt.Scale(domain=list(chosen["shapes"]), range=list(chosen["shapes"].values())),
    )
    tooltip = [
        alt.Tooltip(f"{field}:N") for field in ("Run", "Test accuracy", "Seconds", "Settings")
    ]

    base = alt.Chart(alt.InlineData(values=rows)).encode(x=seconds)
    step = (
        base.transform_filter("datum.front")
        .mark_line(interpolate="step-after", stroke="var(--muted)", strokeDash=[5, 4], aria=False)
        .encode(y=accuracy)
    )
    bars = base.mark_rule(strokeWidth=2, opacity=0.55, aria=False).encode(
        y=alt.Y("low:Q"), y2="high:Q", color=colour
    )
    marks = base.mark_point(filled=True, size=80, opacity=1, stroke="var(--paper)").encode(
        y=accuracy, color=colour, shape=shape, tooltip=tooltip
    )
    # Twice, the first as a halo, so that a line behind leaves the number readable.
    halo, ranks = (
        base.mark_text(dx=8, align="left", fontSize=11, aria=False, **look).encode(
            y=accuracy, text="rank:Q"
        )
        for look in ({"stroke": "var(--paper)", "strokeWidth": 3}, {"fill": "var(--ink)"})
    )
    chart = alt.layer(step, bars, halo, marks, ranks).properties(
        description=(
            f"Scatter of {len(rows)} runs: test accuracy with 95 % interval against the seconds of "
            "pass, search and fit. The leaderboard holds the same figures."
        ),
        height=380,
    )
    return finished(chart)


def confusion_matrix(run: Run, shares: bool = False) -> dict[str, Any]:
    """A run's confusion matrix as a heat map; the colour is the share of the true class.

    Cells without an image are left out, which keeps 100 classes light.

    Args:
        run: The run.
        shares: The cells carry their share, as to compare several matrices, and there is no choice
            between that and the images.
    """
    classes, confusion = run["classes"], run["confusion"]
    totals = [sum(row) for row in confusion]
    cells = [
        {"t": true, "p": predicted, "n": count, "s": round(count / totals[true], 5)}
        for true, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        if count
    ]
    many = len(classes) > LABELLED
    longest = max(len(name) for name in classes)
    places = list(range(len(classes)))
    axis: dict[str, Any] = {
        "labelExpr": "names[datum.value]",
        "labelLimit": 130,
        "labelFontSize": 9 if many else 11,
        "labelOverlap": False,
        "ticks": False,
        "domain": False,
        "grid": False,
        "labelPadding": 5,
    }
    scale = alt.Scale(domain=places, paddingInner=0.0 if many else 0.06, paddingOuter=0)
    base = (
        alt.Chart(alt.InlineData(values=cells))
        .transform_calculate(
            **{
                "True": "names[datum.t]",
                "Predicted": "names[datum.p]",
                "Images": "format(datum.n, ',')",
                "Share of the true class": "format(datum.s * 100, '.1f') + ' %'",
            }
        )
        .encode(
            x=alt.X(
                "p:O",
                title="Predicted class",
                scale=scale,
                axis=alt.Axis(
                    orient="top", labelAngle=-90 if many or longest > SLANTED else -50, **axis
                ),
            ),
            y=alt.Y("t:O", title="True class", scale=scale, axis=alt.Axis(**axis)),
        )
    )
    squares = base.mark_rect(fill="var(--accent)", aria=False).encode(
        fillOpacity=alt.FillOpacity(
            "s:Q", legend=None, scale=alt.Scale(type="sqrt", domain=[0, 1], range=[0, 1])
        ),
        tooltip=[
            alt.Tooltip(f"{field}:N")
            for field in ("True", "Predicted", "Images", "Share of the true class")
        ],
    )
    names = alt.param(name="names", value=list(classes))
    if many:
        return finished(_described(squares, run).add_params(names))
    choice = alt.binding_radio(options=["counts", "shares"], name="Figures in the cells: ")
    show = (
        alt.param(name="show", value="shares")
        if shares
        else alt.param(name="show", value="counts", bind=choice)
    )
    figures = (
        base.mark_text(fontSize=10.5, aria=False)
        .encode(
            text=alt.Text("figure:N"),
            fill=alt.condition(
                "datum.s > 0.35", alt.value("var(--on-accent)"), alt.value("var(--ink)")
            ),
        )
        .transform_calculate(
            figure="show == 'counts' ? format(datum.n, ',') : format(datum.s * 100, '.0f')"
        )
    )
    return finished(_described(alt.layer(squares, figures), run).add_params(names, show))


def cell_height(classes: int) -> int:
    """The height of a cell of a confusion matrix, in pixels."""
    return max(26, 42 - classes // 2) if classes <= LABELLED else max(11, 24 - classes // 8)


def _described(chart: Any, run: Run) -> Any:
    """Gives a heat map its height, its frame and its words."""
    classes = len(run["classes"])
    return chart.properties(
        description=(
            f"Confusion matrix of {run['run']}, {classes} classes: one row a true class, one "
            "column a predicted class. The tables of this section hold the same counts."
        ),
        view=alt.ViewBackground(stroke="var(--line)"),
        height=classes * cell_height(classes),
    )


def finished(chart: Any) -> dict[str, Any]:
    """The specification of a chart in the look of the page, as wide as its place."""
    label = {"labelColor": "var(--muted)", "titleColor": "var(--ink)"}
    spec: dict[str, Any] = (
        chart.properties(width="container")
        .configure(background="transparent", font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            titlePadding=10,
            gridColor="var(--line)",
            domainColor="var(--line)",
            tickColor="var(--line)",
            **label,
        )
        .to_dict()
    )
    return spec


def _domain(values: Sequence[float], log: bool) -> list[float]:
    """The ends of an axis, a little beyond the values."""
    low, high = min(values), max(values)
    if log:
        return [low / 1.3, high * 1.5]
    margin = 0.1 * (high - low) or 0.1 * high or 1
    return [max(low - margin, 0), high + 1.5 * margin]


def steps(low: float, high: float) -> list[float]:
    """The numbers 1, 2 and 5 times the powers of ten between two ends."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [
        step * 10.0**power
        for power in powers
        for step in (1, 2, 5)
        if low <= step * 10.0**power <= high
    ]

"""How a training went, epoch by epoch, as Vega-Lite specifications."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from pipeline.report import words
from pipeline.report.charts import finished
from pipeline.report.curves import PERCENT, coloured

CURVES = ("training", "validation")

HEIGHT = 210

FEW = 25
"""Up to so many epochs have marks of the usual size."""


def epochs_chart(figure: str, name: str, tuning: Mapping[str, Any]) -> dict[str, Any]:
    """The loss or the accuracy by epoch, on the training and on the validation images.

    What the network began with is the validation curve's point at epoch 0, and a line across.

    Args:
        figure: "loss" or "accuracy".
        name: The run's name.
        tuning: Its fit.json.
    """
    epochs, began, best = tuning["epochs"], tuning["began"], tuning["best_epoch"]
    rows = [
        _row(figure, curve, number, epoch)
        for curve in CURVES
        for number, epoch in enumerate(epochs, start=1)
    ]
    if began:
        rows.insert(len(epochs), _row(figure, "validation", 0, began))
    rows = [row for row in rows if math.isfinite(row["value"])]
    first = 0 if began else 1
    x = alt.X(
        "epoch:Q",
        title="Epoch",
        scale=alt.Scale(domain=[first, max(len(epochs), first + 1)], nice=False, padding=10),
        axis=alt.Axis(format="d", tickMinStep=1, tickCount=6, grid=False),
    )
    y = alt.Y(
        "value:Q",
        title=figure.capitalize(),
        scale=alt.Scale(domain=_domain(figure, [row["value"] for row in rows]), nice=False),
        axis=alt.Axis(labelExpr=PERCENT if figure == "accuracy" else alt.Undefined, tickCount=5),
    )
    colour, shape = coloured("curve", CURVES)
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, y=y, color=colour)
    lines = base.mark_line(strokeWidth=1.5, aria=False)
    # Of many epochs the marks would cover the line.
    few = len(epochs) <= FEW
    marks = base.mark_point(
        filled=True, size=45 if few else 12, opacity=1, stroke="var(--paper)" if few else None
    ).encode(
        shape=shape,
        tooltip=[alt.Tooltip(f"{field}:N") for field in ("Epoch", "Images", figure.capitalize())],
    )
    kept = alt.Chart(alt.InlineData(values=[{"epoch": best}])).encode(x=x)
    layers = [
        kept.mark_rule(stroke="var(--ink)", strokeWidth=1.25, aria=False),
        kept.mark_text(
            text="kept",
            fill="var(--ink)",
            fontSize=11,
            baseline="bottom",
            aria=False,
        ).encode(y=alt.value(-3)),
        lines,
        marks,
    ]
    if began:
        line = alt.Chart(alt.InlineData(values=[{"value": began[f"val_{figure}"]}]))
        layers.insert(
            0,
            line.mark_rule(stroke="var(--muted)", strokeDash=[5, 4], aria=False).encode(y=y),
        )
    what = f"epoch {best}" if best else "what it began with"
    chart = alt.layer(*layers).properties(
        description=(
            f"{figure.capitalize()} of {name} by epoch, on training and on validation images; kept "
            f"is {what}. The table of its epochs holds the same figures."
        ),
        height=HEIGHT,
    )
    return finished(chart)


def _row(figure: str, curve: str, number: int, epoch: Mapping[str, float]) -> dict[str, Any]:
    value = epoch[figure if curve == "training" else f"val_{figure}"]
    said = words.percent(value) if figure == "accuracy" else words.decimal(value)
    return {
        "curve": curve,
        "epoch": number,
        "value": value,
        "Epoch": str(number),
        "Images": curve,
        figure.capitalize(): said,
    }


def _domain(figure: str, values: Sequence[float]) -> list[float]:
    """A loss counts from zero; of accuracies the part that there is."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if figure == "loss":
        return [0, 1.08 * high or 1]
    margin = 0.08 * max(high - low, 0.02)
    return [max(low - margin, 0), min(high + margin, 1)]

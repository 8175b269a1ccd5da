"""All pairs of heads as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from pipeline.report import words
from pipeline.report.charts import finished

SHOWN = 30
"""So many heads are drawn, the best ones; more would not be readable."""

CELL = 22
"""The height of a cell in pixels."""

STATES = {
    "is better": "var(--c1)",
    "is worse": "var(--c2)",
    "cannot be told from": "var(--line)",
}
"""What the head of a row is to that of a column, and its colour."""


def pairs_matrix(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """Who can be told apart: one row and one column a head, by rank.

    Args:
        comparison: What `classifiers.significance.compare_runs` wrote.
    """
    heads = [head["name"] for head in comparison["heads"][:SHOWN]]
    places = {name: place for place, name in enumerate(heads)}
    cells = [
        cell
        for pair in comparison["pairs"]
        if pair["first"] in places and pair["second"] in places
        for cell in _both_ways(pair, places, comparison["level"])
    ]
    ranks = list(range(len(heads)))
    scale = alt.Scale(domain=ranks, paddingInner=0.1, paddingOuter=0)
    axis: dict[str, Any] = {
        "labelOverlap": False,
        "ticks": False,
        "domain": False,
        "grid": False,
        "labelFontSize": 11,
    }
    tooltip = [
        alt.Tooltip(f"{field}:N")
        for field in ("Heads", "Difference", "Only the one right", "p, corrected")
    ]
    base = alt.Chart(alt.InlineData(values=cells)).encode(
        x=alt.X(
            "c:O",
            title="Rank of the other head",
            scale=scale,
            axis=alt.Axis(orient="top", labelAngle=0, labelExpr="datum.value + 1", **axis),
        ),
        y=alt.Y(
            "r:O",
            title=None,
            scale=scale,
            axis=alt.Axis(
                labelExpr="(datum.value + 1) + '  ' + heads[datum.value]", labelLimit=170, **axis
            ),
        ),
    )
    squares = base.mark_rect(cornerRadius=2, aria=False).encode(
        fill=alt.Fill(
            "state:N",
            legend=None,
            scale=alt.Scale(domain=list(STATES), range=list(STATES.values())),
        ),
        tooltip=tooltip,
    )
    # A sign too, for those who cannot tell the colours apart.
    signs = (
        base.transform_filter("datum.sign != ''")
        .mark_text(fill="var(--on-accent)", fontSize=12, fontWeight="bold", aria=False)
        .encode(text="sign:N")
    )
    chart = (
        alt.layer(squares, signs)
        .add_params(alt.param(name="heads", value=heads))
        .properties(
            description=(
                f"Matrix of {len(heads)} heads: whether each can be told from each other on the "
                "test images. The table of this section holds the pairs with the best."
            ),
            height=CELL * len(heads),
        )
    )
    return finished(chart)


def _both_ways(
    pair: Mapping[str, Any], places: Mapping[str, int], level: float
) -> list[dict[str, Any]]:
    """The two cells of a pair."""
    first, second = places[pair["first"]], places[pair["second"]]
    apart = pair["p_holm"] < level
    cells = []
    for row, column, way in ((first, second, 1), (second, first, -1)):
        ahead = way * pair["difference"] > 0
        state = ("is better" if ahead else "is worse") if apart else "cannot be told from"
        counts = (pair["only_first"], pair["only_second"])[::way]
        cells.append(
            {
                "r": row,
                "c": column,
                "state": state,
                "sign": ("+" if ahead else words.MINUS) if apart else "",
                "Heads": " against ".join((pair["first"], pair["second"])[::way]),
                "Difference": f"{words.points(way * pair['difference'])} points, {state}",
                "Only the one right": " and ".join(f"{count:,.0f}" for count in counts) + " images",
                "p, corrected": words.p_value(pair["p_holm"]),
            }
        )
    return cells

"""What every benchmark prints and writes."""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        case: What was done.
        ours: The median of our figure.
        peer: The peer's name and the median of its figure.
        ratio: How many times faster than the peer, the median over repeats; above 1 is ahead.
        unit: Of the figures.
        repeats: How often both were measured, in turn.
        spread: The least and the greatest ratio of a repeat.
    """

    case: str
    ours: float
    peer: tuple[str, float]
    ratio: float
    unit: str
    repeats: int
    spread: tuple[float, float]


def compare(case: str, ours: Sequence[float], peer: str, theirs: Sequence[float]) -> Row:
    """A row from the seconds of interleaved repeats; the ratios are taken repeat by repeat."""
    ratios = [other / own for own, other in zip(ours, theirs, strict=True)]
    return Row(
        case,
        statistics.median(ours),
        (peer, statistics.median(theirs)),
        statistics.median(ratios),
        "s",
        len(ratios),
        (min(ratios), max(ratios)),
    )


def arguments(description: str) -> argparse.Namespace:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--quick", action="store_true", help="a smaller case, under 3 minutes")
    return parser.parse_args()


def show(rows: Sequence[Row], file: Path | None) -> None:
    """Prints the rows as a Markdown table, and writes them as JSON where a file is named."""
    print(f"\n{os.cpu_count()} cores, {date.today().isoformat()}\n")
    print("| case | ours | peer | times faster | least to greatest | repeats |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        name, figure = row.peer
        print(
            f"| {row.case} | {row.ours:.1f} {row.unit} | {name}: {figure:.1f} {row.unit} "
            f"| {row.ratio:.2f} | {row.spread[0]:.2f} to {row.spread[1]:.2f} | {row.repeats} |"
        )
    if file:
        file.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")

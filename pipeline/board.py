"""A study's leaderboard as the terminal shows it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import UserError
from pipeline.report import words

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.plan import StudyPlan

LEADERBOARD = "leaderboard.csv"

TOP = 10
"""So many runs are shown at the end of a call of Snakemake."""

STAGES = ("pass_seconds", "search_seconds", "fit_seconds")


@dataclass(frozen=True)
class Row:
    """A run in its study's leaderboard.

    Attributes:
        rank: By validation accuracy.
        run: Its name, backbone.head.seed.
        validation: Its accuracy on the validation images.
        test: The same on the test images.
        low: The lower end of its 95 % interval.
        high: The upper end.
        seconds: Of pass, search and fit, as far as they are known.
    """

    rank: int
    run: str
    validation: float
    test: float
    low: float
    high: float
    seconds: float

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Validation and test accuracy, the interval, and the seconds, as text."""
        return (
            words.percent(self.validation),
            words.percent(self.test),
            words.interval(self.low, self.high),
            words.seconds(self.seconds),
        )


def read_board(study: Path) -> list[Row]:
    """The runs of a study, by rank.

    Args:
        study: Its folder of results.

    Raises:
        UserError: The folder or its leaderboard is missing, or no leaderboard.
    """
    again = f"build it with `snakemake --cores 4 {study.name}`"
    if not study.is_dir():
        raise UserError(f"{study}: no such folder of results; {again}")
    file = study / LEADERBOARD
    try:
        with file.open(newline="", encoding="utf-8") as table:
            rows = [_row(cells) for cells in csv.DictReader(table)]
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing: the study is not finished; {again}") from error
    except (KeyError, ValueError, OSError) as error:
        raise UserError(f"{file}: no leaderboard of this version; delete it and {again}") from error
    if not rows:
        raise UserError(f"{file} names no run; delete it and {again}")
    return rows


def _row(cells: Mapping[str, str]) -> Row:
    return Row(
        rank=int(cells["rank"]),
        run=".".join(cells[part] for part in ("backbone", "head", "seed")),
        validation=float(cells["validation_accuracy"]),
        test=float(cells["test_accuracy"]),
        low=float(cells["test_low"]),
        high=float(cells["test_high"]),
        seconds=sum(float(cells[stage] or 0) for stage in STAGES),
    )


def summary(study: str, rows: Sequence[Row], top: int = TOP) -> Table:
    """The best runs of a study, to be read in 80 columns.

    Args:
        study: Its name.
        rows: Its runs, by rank.
        top: How many runs.
    """
    table = table_of(f"{study}, by validation accuracy")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("run", overflow="fold")
    add_figures(table)
    for row in rows[:top]:
        table.add_row(str(row.rank), row.run, *row.cells, style="bold" if row.rank == 1 else None)
    return table


def show_results(studies: Sequence[StudyPlan], since: float) -> None:
    """Ends a call of Snakemake with the best runs of each study whose page it has written.

    Args:
        studies: The studies that were asked for.
        since: When the call began, in seconds as `time.time` gives them. An older page is left.
    """
    for study in studies:
        if study.report.exists() and study.report.stat().st_mtime >= since:
            rows = read_board(study.report.parent)
            rest = (
                f"{len(rows) - TOP} more, and more of each" if len(rows) > TOP else "More of each"
            )
            show("", summary(study.name, rows), f"{rest}: {study.report}", to_stderr=True)


def table_of(title: str) -> Table:
    """An empty table in the look of all."""
    from rich.table import Table
    from rich.text import Text

    # As text, for what stands in brackets would else be taken for a style.
    return Table(
        title=Text(title, "bold"),
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
        header_style="underline",
        highlight=False,
    )


def add_figures(table: Table) -> None:
    """Adds the columns of `Row.cells`."""
    for name in ("validation", "test", "95 % interval", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)


def show(*parts: Table | str, to_stderr: bool = False) -> None:
    """Prints tables and lines; where no terminal tells its width, it is 80.

    A line is left to the terminal to wrap, so that a path in it can be copied.
    """
    from rich.console import Console

    console = Console(stderr=to_stderr, highlight=False, markup=False, emoji=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))

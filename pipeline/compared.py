"""Studies side by side in the terminal, and whether their bests can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.significance import LEVEL, holm, mcnemar, read_predictions
from classifiers.store import read_json
from features.errors import UserError
from pipeline.board import Row, add_figures, read_board, show, table_of
from pipeline.report import words
from pipeline.report.difference import paired


@dataclass(frozen=True)
class Compared:
    """A study's results.

    Attributes:
        name: The study's name or, where two share it, its folder.
        rows: Its runs, by rank.
        dataset: The fingerprint of its data set; None where its runs are older than that is kept.
        ids: The names of its test images, text (images,).
        labels: int64 (images,).
        right: Where its best run is right, bool (images,).
    """

    name: str
    rows: list[Row]
    dataset: str | None
    ids: np.ndarray
    labels: np.ndarray
    right: np.ndarray

    def judged_on_the_same(self, other: Compared) -> bool:
        """Whether the other's test images are the same, image by image."""
        known = self.dataset is not None and other.dataset is not None
        if known and self.dataset != other.dataset:
            return False
        return np.array_equal(self.ids, other.ids) and np.array_equal(self.labels, other.labels)


def compare(folders: Sequence[Path]) -> int:
    """Prints studies side by side.

    Args:
        folders: Their folders of results, at least two.

    Returns:
        The exit status, 0.

    Raises:
        UserError: A folder is none of a finished study.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("the same study is named twice; name two that differ")
    studies = [_read(folder, folders) for folder in folders]
    _show_runs(studies)
    pairs = [
        (one, other) for one, other in combinations(studies, 2) if one.judged_on_the_same(other)
    ]
    for one, other in combinations(studies, 2):
        if (one, other) not in pairs:
            show(
                f"{one.name} and {other.name} were judged on different images: their figures "
                "cannot be compared."
            )
    _show_differences(pairs)
    return 0


def _read(folder: Path, folders: Sequence[Path]) -> Compared:
    rows = read_board(folder)
    alone = sum(other.name == folder.name for other in folders) == 1
    for row in rows:
        for file in ("metrics.json", "fit.json"):
            if not (folder / "runs" / row.run / file).is_file():
                raise UserError(
                    f"{folder / 'runs' / row.run / file} is missing, though the leaderboard names "
                    f"its run; build it again with `snakemake --cores 4 {folder.name}`"
                )
    best = folder / "runs" / rows[0].run
    ids, labels, predicted = read_predictions(best / "predictions.npz")
    fitted: dict[str, Any] = read_json(best / "fit.json")
    return Compared(
        name=folder.name if alone else str(folder),
        rows=rows,
        dataset=fitted.get("dataset"),
        ids=ids,
        labels=labels,
        right=predicted == labels,
    )


def _show_runs(studies: Sequence[Compared]) -> None:
    """Every run, the same runs of the studies below each other, the best first."""
    found: dict[str, list[tuple[Compared, Row]]] = {}
    for study in studies:
        for row in study.rows:
            found.setdefault(row.run, []).append((study, row))
    ordered = sorted(found.items(), key=lambda item: -max(row.validation for _, row in item[1]))
    table = table_of(f"{len(studies)} studies, by validation accuracy")
    table.add_column("run and study", overflow="fold")
    table.add_column("#", justify="right", no_wrap=True)
    add_figures(table)
    for run, places in ordered:
        table.add_row(run)
        for study, row in places:
            style = "bold" if row.rank == 1 else None
            table.add_row(f"  {study.name}", str(row.rank), *row.cells, style=style)
    show(table)


def _show_differences(pairs: Sequence[tuple[Compared, Compared]]) -> None:
    """Whether the bests of studies can be told apart, where they saw the same test images."""
    values = [
        mcnemar(int((one.right & ~other.right).sum()), int((other.right & ~one.right).sum()))
        for one, other in pairs
    ]
    for (one, other), p in zip(pairs, holm(values), strict=True):
        gap = paired(one.right, other.right)
        ends = f"[{words.points(gap.low)}, {words.points(gap.high)}]"
        corrected = ", corrected for the number of pairs" if len(pairs) > 1 else ""
        apart = "can be told apart" if p < LEVEL else "cannot be told apart"
        show(
            f"The best of {one.name}, {one.rows[0].run}, and of {other.name}, "
            f"{other.rows[0].run}, {apart} on the same {len(one.ids):,} test images: "
            f"{words.points(gap.value)} points {ends}, McNemar's exact test "
            f"{_p(p)}{corrected}."
        )


def _p(value: float) -> str:
    """A p-value as "p = 0.034", or "p < 0.001"."""
    said = words.p_value(value)
    return f"p {said}" if said.startswith("<") else f"p = {said}"

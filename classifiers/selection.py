"""What a search tried, and the table that is kept of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.files import whole_file


@dataclass(frozen=True)
class Candidate:
    """Settings that were tried.

    Attributes:
        settings: All settings of the head.
        accuracy: On the validation rows.
        seconds: What fitting and judging took.
        status: How the fit ended: "finished", "stopped early", "not converged" or "diverged".
        warnings: What the fit said.
        epochs: Of a dense head, after how many epochs it was best; `until` of the fit on all rows.
    """

    settings: dict[str, Any]
    accuracy: float
    seconds: float
    status: str
    warnings: list[str]
    epochs: int | None = None


def write_selection(path: Path, tried: Sequence[Candidate]) -> None:
    """Writes one row a candidate, in the order in which they were tried."""
    names = list(tried[0].settings)
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*names, "accuracy", "seconds", "status", "best_epoch", "warnings"])
        for one in tried:
            cells = [_cell(one.settings[name]) for name in names]
            figures = [one.accuracy, round(one.seconds, 4), one.status, one.epochs]
            table.writerow([*cells, *figures, "; ".join(one.warnings)])


def told(settings: Mapping[str, Any]) -> str:
    """Settings in a line."""
    return ", ".join(f"{name}={_cell(value)}" for name, value in settings.items())


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value

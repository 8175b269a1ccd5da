"""Predictions as a table, CSV or JSON lines, one written as soon as it is there."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import TextIO

from classifiers.predict.files import Prediction


def write(predictions: Iterable[Prediction], form: str, top: int, out: TextIO) -> tuple[int, int]:
    """Writes predictions.

    Args:
        predictions: As they come.
        form: One of `FORMATS`.
        top: How many classes each has.
        out: Where to.

    Returns:
        How many files were predicted, and how many could not be read.
    """
    row = FORMATS[form]
    if form == "csv":
        places = [f"{name}_{place}" for place in range(1, top + 1) for name in ("class", "p")]
        csv.writer(out, lineterminator="\n").writerow(["file", *places, "error"])
    good = bad = 0
    for prediction in predictions:
        good, bad = (good, bad + 1) if prediction.error else (good + 1, bad)
        row(prediction, top, out)
        out.flush()
    return good, bad


def _table(prediction: Prediction, top: int, out: TextIO) -> None:
    said = "   ".join(f"{name} {100 * p:5.1f} %" for name, p in prediction.top)
    out.write(f"{prediction.file}   {said or 'unreadable: ' + str(prediction.error)}\n")


def _csv(prediction: Prediction, top: int, out: TextIO) -> None:
    cells = [str(cell) for name, p in prediction.top for cell in (name, f"{p:.6f}")]
    cells += [""] * (2 * top - len(cells))
    csv.writer(out, lineterminator="\n").writerow([prediction.file, *cells, prediction.error or ""])


def _json(prediction: Prediction, top: int, out: TextIO) -> None:
    fields = (
        {"error": prediction.error}
        if prediction.error
        else {"top": [{"class": name, "p": round(p, 6)} for name, p in prediction.top]}
    )
    out.write(json.dumps({"file": str(prediction.file), **fields}, ensure_ascii=False) + "\n")


FORMATS = {"table": _table, "csv": _csv, "json": _json}
"""What writes a prediction in each."""

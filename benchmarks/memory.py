"""Heads on features of ten times the memory that they may take, read block by block.

The features are made up, float16, in a features file. Each head is chosen and fitted as in a
study, in a process of its own whose peak memory is taken, libraries and all. Beside it, on features
that fit: the seconds in blocks against those in memory, and how far the answers are apart.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from data import made
from table import Row, arguments, compare, show

from features.cache.layout import Contents
from features.cache.writer import unfinished, write_record
from features.files import fingerprint

WIDTH = 1280
LIMIT = 800
"""MB that a process may take; the features take ten times as much as float32."""
AT_ONCE = 32_000
DENSE = {
    "hidden": [64],
    "dropout": 0.0,
    "stack": None,
    "optimizer": "adam",
    "learning_rate": 0.001,
    "schedule": "constant",
    "label_smoothing": 0.0,
    "epochs": 1,
    "batch_size": 256,
    "monitor": None,
    "patience": None,
    "standardise": True,
}
PENALTY = 5.0
"""C times the rows, as C = 0.0001 for 50,000."""


def write(folder: Path, rows: int) -> Path:
    """A features file of one layer, written piece by piece."""
    spec = {"dataset": None, "made": rows}
    path = folder / f"made-{fingerprint(spec)[:8]}.h5"
    pieces = [(start, min(AT_ONCE, rows - start)) for start in range(0, rows, AT_ONCE)]
    labels = np.concatenate([made(count, 1, seed=start)[1] for start, count in pieces])
    contents = Contents(
        spec=spec,
        classes=[str(label) for label in range(10)],
        views=["identity"],
        layers={"last": (WIDTH,)},
        labels={"train": labels},
        ids={"train": [str(row) for row in range(rows)]},
        dtype="float16",
        facts={},
    )
    with unfinished(path, contents) as writer:
        for start, count in pieces:
            values, _ = made(count, WIDTH, seed=start)
            writer.write("train", "identity", "last", start, values.astype(np.float16))
        writer.finish(path)
    write_record(path, {})
    return path


def settings(type: str, rows: int) -> dict[str, Any]:
    """One candidate, as strongly regularised whatever the rows."""
    return {
        "logistic": {"C": PENALTY / rows},
        "svm": {"C": PENALTY / rows},
        "ridge": {"alpha": rows / PENALTY},
        "lda": {"shrinkage": 0.1},
        "nearest_mean": {"metric": "euclidean"},
        "dense": DENSE,
    }[type]


def fit(path: Path, type: str, memory: float | None) -> dict[str, Any]:
    """Fits in this process; gives seconds, peak memory in MB, and the answer."""
    from classifiers.calibration import read_validation
    from classifiers.data import Features
    from classifiers.fit import fit_head
    from classifiers.spec import HeadSpec
    from classifiers.store import read_json

    with Features(path) as opened:
        rows = len(opened.labels("train"))
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        head = HeadSpec(type, settings(type, rows))
        fit_head(path, head, Path(folder), validation=0.1, seed=0, memory=memory)
        taken = time.perf_counter() - start
        held = read_validation(Path(folder))
        fitted = read_json(Path(folder) / "fit.json")
    assert held is not None
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    return {
        "seconds": taken,
        "peak": int(peak[1]) / 1024,
        "scores": held[1][:1000].tolist(),
        "accuracy": fitted["validation"]["accuracy"],
        "warnings": fitted["warnings"],
    }


def alone(path: Path, type: str, memory: float | None) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "fit", str(path), type, str(memory or "")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    where = "in blocks" if memory else "in memory"
    print(
        f"  {type} {where}: {found['seconds']:.1f} s, peak {found['peak']:.0f} MB, "
        f"{found['accuracy']:.2%} on validation {found['warnings'] or ''}",
        flush=True,
    )
    return found


def overhead(path: Path, type: str, rows: int, repeats: int) -> Row:
    """In blocks against in memory, on features that fit."""
    ours, theirs = [], []
    for _ in range(repeats):
        lazy, whole = alone(path, type, 1.0), alone(path, type, None)
        ours.append(lazy["seconds"])
        theirs.append(whole["seconds"])
    one, other = np.array(lazy["scores"]), np.array(whole["scores"])
    apart = np.linalg.norm(one - other) / np.linalg.norm(other)
    case = f"{type} in blocks, {rows:,} x {WIDTH}; scores apart by {apart:.0e}"
    return compare(case, ours, "in memory", theirs)


def measure(types: list[str], large: int, small: int, repeats: int) -> list[Row]:
    """Both."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), small)
        rows += [overhead(path, type, small, repeats) for type in types]
        path.unlink()
        path = write(Path(folder), large)
        size = large * WIDTH * 4 / 2**20
        for type in types:
            found = alone(path, type, LIMIT * 2**20)
            rows.append(
                Row(
                    f"peak memory, {type}, {large:,} x {WIDTH}, {found['seconds']:.0f} s",
                    found["peak"],
                    ("the features", size),
                    size / found["peak"],
                    "MB",
                    1,
                    (size / found["peak"], size / found["peak"]),
                )
            )
    return rows


def main() -> None:
    """Measures and shows."""
    if sys.argv[1:2] == ["fit"]:
        path, type, memory = sys.argv[2:5]
        print(json.dumps(fit(Path(path), type, float(memory) if memory else None)))
        return
    options = arguments(str(__doc__).splitlines()[0])
    large = 10 * LIMIT * 2**20 // (4 * WIDTH)
    types = ["logistic", "svm", "ridge", "lda", "nearest_mean", "dense"]
    if options.quick:
        show(measure(types[:1], large // 10, 10_000, 1), options.json)
    else:
        show(measure(types, large, 50_000, 3), options.json)


if __name__ == "__main__":
    main()

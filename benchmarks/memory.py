"""A logistic head on features of ten times the memory that it may take, read through dask.

The features are made up, float16, in a features file; the memory is the peak of a process that
opens the file and fits, libraries included. Beside it, on features that fit: the seconds and the
answer through dask against those in memory.
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

import features
from features.cache.layout import Contents
from features.cache.writer import unfinished, write_record
from features.files import fingerprint

WIDTH = 1280
LIMIT = 400
"""MB."""
AT_ONCE = 32_000
PENALTY = 5.0
"""C times the rows, as C = 0.0001 for 50,000."""


def write(folder: Path, rows: int) -> Path:
    """A features file of one layer, written piece by piece."""
    spec = {"made": rows}
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


def fit(path: Path, how: str) -> dict[str, Any]:
    """Fits in this process; gives seconds, peak memory in MB, and the answer."""
    from classifiers.heads.logistic import LogisticClassifier

    with features.open(path) as file:
        y = file.labels("train")
        start = time.perf_counter()
        X = (
            file.dask("train", "identity", "last")
            if how == "dask"
            else file.array("train", "identity", "last").astype(np.float32)
        )
        head = LogisticClassifier(C=PENALTY / len(y)).fit(X, y)
        taken = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak
    return {
        "seconds": taken,
        "peak": int(peak[1]) / 1024,
        "read": head.n_iter_,
        "converged": head.converged_,
        "coef": head.coef_.tolist(),
    }


def alone(path: Path, how: str) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "fit", str(path), how]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    print(
        f"  {how}: {found['seconds']:.1f} s, peak {found['peak']:.0f} MB, features read "
        f"{found['read']} times, converged: {found['converged']}",
        flush=True,
    )
    return found


def measure(large: int, small: int, repeats: int) -> list[Row]:
    """Both."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), small)
        ours, theirs = [], []
        for _ in range(repeats):
            lazy, memory = alone(path, "dask"), alone(path, "memory")
            ours.append(lazy["seconds"])
            theirs.append(memory["seconds"])
        one, other = np.array(lazy["coef"]), np.array(memory["coef"])
        apart = np.linalg.norm(one - other) / np.linalg.norm(other)
        print(f"  the weights differ by {apart:.1e} in norm", flush=True)
        rows = [compare(f"logistic through dask, {small:,} x {WIDTH}", ours, "in memory", theirs)]
        path.unlink()
        path = write(Path(folder), large)
        size = large * WIDTH * 2 / 2**20
        peak = alone(path, "dask")["peak"]
        rows.append(
            Row(
                f"peak memory, logistic through dask, {large:,} x {WIDTH}",
                peak,
                ("the features in float16", size),
                size / peak,
                "MB",
                1,
                (size / peak, size / peak),
            )
        )
    return rows


def main() -> None:
    """Measures and shows."""
    if sys.argv[1:2] == ["fit"]:
        print(json.dumps(fit(Path(sys.argv[2]), sys.argv[3])))
        return
    options = arguments(str(__doc__).splitlines()[0])
    large = 10 * LIMIT * 2**20 // (2 * WIDTH)
    sizes = (large // 10, 10_000, 1) if options.quick else (large, 50_000, 3)
    show(measure(*sizes), options.json)


if __name__ == "__main__":
    main()

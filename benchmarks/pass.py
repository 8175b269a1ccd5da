"""Images a second through frozen backbones, against each peer that a user could take instead.

All take the same random uint8 images through the same network with random weights and give the mean
of every stage: resize and preprocessing inside. Headstart's figure is the whole path, from a
dataset file to a features file; the peers' have their images in memory and keep nothing. Each has a
process of its own, and they run in turn. `engine` is Headstart's own engine on images in memory:
the whole path is to keep 95 % of its speed.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from table import Row, arguments, show

HERE = Path(__file__).parent

CASES = (
    # architecture, alpha, size, side of the images, images at least
    ("MobileNetV2", 0.35, 96, 32),
    ("MobileNetV2", 1.0, 224, 256),
    ("ResNet50", 1.0, 64, 32),
    ("ResNet50", 1.0, 224, 256),
    ("DenseNet121", 1.0, 160, 256),
    ("InceptionResNetV2", 1.0, 299, 256),
    ("VGG16", 1.0, 64, 32),
)
PEERS = ("keras predict", "ONNX Runtime", "TFLite")
OURS = ("fast", "exact")
LEAST = 192
"""Images that we take at least."""


class Contestant:
    """A process that is told how many images to take, and answers with the seconds."""

    def __init__(self, name: str, case: dict[str, Any]) -> None:
        """Starts it, and waits until it is warm."""
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, HERE / "contestants.py", name, json.dumps(case)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.problem = self._answer().removeprefix("ready")

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip() or "cannot: it ended"

    def seconds(self, images: int) -> float:
        """One repetition."""
        assert self._process.stdin is not None
        print(images, file=self._process.stdin, flush=True)
        return float(self._answer())

    def stop(self) -> None:
        """Ends it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(case: dict[str, Any], repeats: int, seconds: float) -> list[Row]:
    """Everyone in turn, `repeats` times."""
    name = f"{case['architecture']} {case['alpha']:g} @{case['size']}"
    running = {}
    for who in ("keras predict", "fast", "exact", "engine", *PEERS[1:]):
        contestant = Contestant(who, case)
        if contestant.problem:
            print(f"{name}: {who} {contestant.problem}", file=sys.stderr)
        else:
            running[who] = contestant
    # To each so many images that it is busy for as long as the others; to us so many too that what
    # a pass begins and ends with does not count for much more than it does in a pass.
    images = {
        who: max(images_in(seconds, contestant), 0 if who in PEERS else LEAST)
        for who, contestant in running.items()
    }
    taken: dict[str, list[float]] = {who: [] for who in running}
    for _ in range(repeats):
        for who, contestant in running.items():
            taken[who].append(images[who] / contestant.seconds(images[who]))
    for contestant in running.values():
        contestant.stop()
    rows = []
    for own in OURS:
        for peer in (peer for peer in PEERS if peer in taken):
            # To the peer's best repetition, for predict swings by half from one to the next.
            best = max(taken[peer])
            rows.append(row(f"{name} {own}", taken[own], peer, [best] * repeats))
    rows.append(row(f"{name} fast", taken["fast"], "its engine alone", taken["engine"]))
    for line in rows:
        print(f"{line.case}: {line.ours:,.0f}/s, {line.ratio:.2f} times {line.peer[0]}", flush=True)
    return rows


def images_in(seconds: float, contestant: Contestant) -> int:
    """About how many images it takes in some seconds, a multiple of 32."""
    count = 64
    for goal in (seconds / 4, seconds):
        count = max(2, round(count * goal / contestant.seconds(count) / 32)) * 32
    return count


def row(case: str, ours: list[float], peer: str, theirs: list[float]) -> Row:
    """A row from images a second."""
    ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
    return Row(
        case,
        statistics.median(ours),
        (peer, statistics.median(theirs)),
        statistics.median(ratios),
        "images/s",
        len(ratios),
        (min(ratios), max(ratios)),
    )


ALONE = """
import json, pathlib, re, sys, time
began = time.perf_counter()
sys.path.insert(0, {here!r})
case = json.loads({case!r})
import contestants
from contestants import images_of, spec_of
from features.engines import choose, prepare
from features.engines.graph import Graph
engine = choose("auto")
graph = Graph(spec_of(case, "fast"), None, (case["side"], case["side"]), 0)
prepared = prepare(engine, graph, pathlib.Path({graphs!r}), contestants.THREADS)
compiled = prepared.compile(list(prepared.layers))
images = images_of(case, compiled.batch)
next(iter(compiled.run([images])))
first = time.perf_counter() - began
images = images_of(case, 40 * compiled.batch)
for _ in compiled.run(images[i:i + compiled.batch] for i in range(0, len(images), compiled.batch)):
    pass
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print("figures", first, int(peak[1]) / 1024, compiled.precision)
"""


def alone(case: dict[str, Any]) -> dict[str, float | str]:
    """In fresh processes: the seconds to the first batch, converting and not; peak memory in MB."""
    figures: dict[str, float | str] = {}
    with tempfile.TemporaryDirectory() as graphs:
        for what in ("converting", "start"):
            script = ALONE.format(here=str(HERE), case=json.dumps(case), graphs=graphs)
            result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
            found = re.search(r"figures (\S+) (\S+) (\S+)", result.stdout)
            assert found, result.stderr
            figures |= {what: float(found[1]), "peak": float(found[2]), "precision": found[3]}
    return figures


def fraction(case: dict[str, Any], per_second: float, precision: str) -> tuple[float, float]:
    """Operations a second, and the fraction of the most that this device does."""
    # In a process of its own, for TensorFlow's memory.
    script = (
        f"import sys, json; sys.path.insert(0, {str(HERE)!r}); from contestants import pooled\n"
        "from peak import *\nfrom features.engines.gpu import gpus\n"
        f"o = operations(pooled(json.loads({json.dumps(case)!r})))\n"
        f"p = gpu_peak({precision!r}) if gpus() else "
        f"cpu_peak({'bf16' if precision == 'bfloat16' else 'f32'!r})\nprint('figures', o, p)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    found = re.search(r"figures (\S+) (\S+)", result.stdout)
    assert found, result.stderr
    return per_second * float(found[1]), per_second * float(found[1]) / float(found[2])


def main() -> None:
    """Measures and shows."""
    options = arguments(str(__doc__).splitlines()[0])
    chosen = CASES[:1] if options.quick else CASES
    cases = [dict(zip(("architecture", "alpha", "size", "side"), c, strict=True)) for c in chosen]
    rows, others = [], []
    for case in cases:
        found = measure(case, 2 if options.quick else 5, 2.0 if options.quick else 4.0)
        rows += found
        figures = alone(case)
        rate, share = fraction(case, found[0].ours, str(figures["precision"]))
        others.append((found[0].case, found[0].ours, rate / 1e12, share, figures))
    show(rows, options.json)
    print("\n| case | images/s | TFLOP/s | of the measured peak | conversion | start | memory |")
    print("|---|---|---|---|---|---|---|")
    for name, per_second, rate, share, figures in others:
        print(
            f"| {name} | {per_second:,.0f} | {rate:.2f} | {share:.0%} "
            f"| {figures['converting']:.1f} s | {figures['start']:.1f} s "
            f"| {figures['peak']:,.0f} MB |"
        )


if __name__ == "__main__":
    main()

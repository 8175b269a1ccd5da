"""Images through an engine into a features file: read, computed and written at the same time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from features.cache.layout import BLOCK, Array, Contents, blocks
from features.cache.writer import FeatureWriter
from features.engines import Engine
from features.errors import UserError
from features.load import Load
from features.log import PassLog
from features.progress import progress

FLOAT16_MAX = float(np.finfo(np.float16).max)

INFINITE16 = np.uint16(0x7C00)
"""The exponent of a float16 that is infinite or no number."""

READERS = 8
ROWS_PER_WRITE = 256
SECONDS_BETWEEN_WRITES = 1.0

Missing = dict[str, dict[str, Array]]
"""By split and view, which blocks to compute, bool (blocks,)."""


def missing_blocks(writer: FeatureWriter, contents: Contents) -> dict[tuple[str, ...], Missing]:
    """What is still to compute, by the layers that are: all of them, but after an addition."""
    groups: dict[tuple[str, ...], Missing] = {}
    for split in contents.labels:
        for view in contents.views:
            unfinished = {layer: ~writer.finished(split, view, layer) for layer in contents.layers}
            wanted = tuple(layer for layer, lacking in unfinished.items() if lacking.any())
            if wanted:
                lacking = np.logical_or.reduce([unfinished[layer] for layer in wanted])
                groups.setdefault(wanted, {}).setdefault(split, {})[view] = lacking
    return groups


@dataclass(frozen=True)
class _Chunk:
    """Images to read at once, each row of them in every view.

    Attributes:
        split: Their split.
        views: The views.
        start: The first row within the file.
        stop: One after the last.
        first: The first image of the split that the file holds.
    """

    split: str
    views: tuple[str, ...]
    start: int
    stop: int
    first: int


def _chunks(missing: Missing, contents: Contents, unit: int, most: int) -> list[_Chunk]:
    """What is missing, in runs of units of images that lack the same views.

    Args:
        missing: What is missing.
        contents: What the file will hold.
        unit: Rows that are computed together or not at all, and begin at a multiple of that: a
            batch thus always holds the same images, whatever was finished before it.
        most: About the most rows of a chunk.
    """
    found: list[_Chunk] = []
    for split, by_view in missing.items():
        first, end = contents.range(split)
        for start in range(0, end - first, unit):
            stop = min(start + unit, end - first)
            span = slice(start // BLOCK, blocks(stop))
            views = tuple(view for view, lacking in by_view.items() if lacking[span].any())
            before = found[-1] if found else None
            if not views:
                continue
            if (
                before
                and (before.split, before.views, before.stop) == (split, views, start)
                and stop - before.start <= most
            ):
                found[-1] = replace(before, stop=stop)
            else:
                found.append(_Chunk(split, views, start, stop, first))
    return found


def compute(
    engine: Engine,
    wanted: Sequence[str],
    missing: Missing,
    contents: Contents,
    load: Load,
    writer: FeatureWriter,
    log: PassLog,
    *,
    rows_at_once: int,
    threads: int,
) -> None:
    """Reads, computes and writes what is missing, the three of them at the same time.

    Args:
        engine: What computes.
        wanted: The layers that it gives.
        missing: Where one of them is missing.
        contents: What the file will hold.
        load: What reads.
        writer: The file in the making.
        log: Takes the time.
        rows_at_once: About the most images that one thread may hold.
        threads: The threads that may read.

    Raises:
        UserError: The features are not finite, an image changed, or the disk is full.
    """
    unit = max(BLOCK, engine.batch)
    chunks = _chunks(missing, contents, unit, max(unit, rows_at_once))
    under_way: deque[tuple[_Chunk, str, int]] = deque()

    def batches() -> Iterator[Array]:
        for chunk, read in _read_ahead(chunks, load, min(READERS, threads), log):
            for view, pixels in zip(chunk.views, read, strict=True):
                for start in range(0, len(pixels), engine.batch):
                    under_way.append((chunk, view, chunk.start + start))
                    yield pixels[start : start + engine.batch]

    waiting: list[list[Array]] = []
    rows, written = 0, time.monotonic()
    total = sum(chunk.stop - chunk.start for chunk in chunks)
    # Closed at once when a write fails: what is under way must end before anything else begins.
    with (
        progress(total, log.what) as advance,
        ThreadPoolExecutor(1) as pool,
        closing(engine.run(batches())) as run,
    ):
        writing: Future[None] | None = None
        for computed in run:
            computed_at = time.monotonic()
            chunk, view, start = under_way.popleft()
            count = len(computed[0])
            waiting.append(computed)
            rows += count
            stop = start + count
            late = computed_at - written > SECONDS_BETWEEN_WRITES
            if stop == chunk.stop or (stop % BLOCK == 0 and (late or rows >= ROWS_PER_WRITE)):
                if writing:
                    writing.result()
                writing = pool.submit(
                    _write, writer, chunk.split, view, wanted, stop - rows, waiting
                )
                waiting, rows, written = [], 0, computed_at
            log.wrote(count, time.monotonic() - computed_at)
            if view == chunk.views[-1]:
                advance(count)
        if writing:
            writing.result()


def _write(
    writer: FeatureWriter,
    split: str,
    view: str,
    layers: Sequence[str],
    start: int,
    batches: Sequence[list[Array]],
) -> None:
    """Writes batches that follow on each other, beginning with a row."""
    for layer, *arrays in zip(layers, *batches, strict=True):
        writer.write(split, view, layer, start, _finite(np.concatenate(arrays), layer))


def _read_ahead(
    chunks: Sequence[_Chunk], load: Load, readers: int, log: PassLog
) -> Iterator[tuple[_Chunk, list[Array]]]:
    """Reads chunks in their order, several ahead of what is computed."""

    def read(chunk: _Chunk) -> list[Array]:
        rows = chunk.first + chunk.start, chunk.first + chunk.stop
        return load(chunk.views, chunk.split, *rows)

    ahead: deque[Future[list[Array]]] = deque()
    with ThreadPoolExecutor(readers) as pool:
        try:
            for place, chunk in enumerate(chunks):
                while place + len(ahead) < len(chunks) and len(ahead) <= readers:
                    ahead.append(pool.submit(read, chunks[place + len(ahead)]))
                waiting = time.monotonic()
                pixels = ahead.popleft().result()
                log.waited(time.monotonic() - waiting)
                yield chunk, pixels
        finally:
            for future in ahead:
                future.cancel()


def _finite(values: Array, layer: str) -> Array:
    """Refuses what is no number; what is beyond float16's range becomes its largest."""
    exponents = values.view(np.uint16) & INFINITE16 if values.dtype == np.float16 else None
    if exponents is None:
        finite = bool(np.isfinite(values).all())
    elif (exponents == INFINITE16).any():
        finite = not np.isnan(values).any()
        values = values.clip(-FLOAT16_MAX, FLOAT16_MAX)
    else:
        finite = True
    if not finite:
        raise UserError(
            f"layer {layer} gives features that are not finite: the weights are damaged, or the "
            "preprocessing is not theirs"
        )
    return values

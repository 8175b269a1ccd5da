"""Progress that reads well in a terminal and in a log file."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

LOG = logging.getLogger("headstart")
SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress(total: int, what: str, unit: str = "images") -> Iterator[Callable[[int], None]]:
    """Shows how far a long piece of work is.

    On a terminal a bar with rate and time left; for the log one line every few seconds with the
    same figures, through the logger `headstart`.

    Args:
        total: How many units there are.
        what: What is being done, as a short phrase.
        unit: What is counted.

    Yields:
        A function to call with the number of units just done.
    """
    start = last = time.monotonic()
    done = 0
    # Some terminals, as in containers, claim to have no width; this then says 80.
    size = shutil.get_terminal_size()
    bar = tqdm(
        total=total,
        desc=what,
        unit=f" {unit}",
        disable=not sys.stderr.isatty(),
        ncols=size.columns,
        nrows=size.lines,
    )

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        bar.update(count)
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES or done == total:
            last = now
            rate = done / max(now - start, 1e-9)
            pace = f"{rate:,.0f} {unit}/s" if rate >= 1 else f"{1 / rate:.1f} s each"
            left = tqdm.format_interval((total - done) / max(rate, 1e-9))
            # The bar says it on a terminal, where this line is for the log file alone.
            LOG.log(
                logging.INFO if bar.disable else logging.DEBUG,
                f"{what}: {done:,}/{total:,} {unit}, {pace}, {left} left",
            )

    with bar:
        yield advance

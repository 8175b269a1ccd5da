"""What a pass takes, and which of reading, computing and writing holds it up."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from features.backbones.spec import BackboneSpec
from features.cache.reader import read_record, record_file
from features.cache.writer import write_record
from features.engines import Engine
from features.environment import environment, peak_memory

LOG = logging.getLogger("headstart")

SECONDS_BETWEEN_RECORDS = 5.0


class PassLog:
    """Adds up what a pass takes over all its tries; told at its end, and kept beside its file.

    Attributes:
        what: What is computed, in a few words.
    """

    def __init__(self, output: Path, engine: str, start: float) -> None:
        """Goes on with what an earlier try kept.

        Args:
            output: The features file.
            engine: One of `features.engines.ENGINES`.
            start: When this try began, by `time.monotonic`.
        """
        self.what = _what(output)
        self._output = output
        self._part = output.with_name(output.name + ".part")
        self._engine = engine
        self._start = self._saved = start
        self._began = 0.0
        before = read_record(self._part)
        names = ("start", "read", "compute", "write", "total")
        self._before = {name: before.get("seconds", {}).get(name, 0.0) for name in names}
        self._images = self._images_before = before.get("computed", 0)
        self._peak_before = before.get("peak_memory_bytes") or 0
        self._ran: dict[str, Any] = {
            k: before.get(k) for k in ("precision", "device", "batch") if k in before
        }
        self._now = dict.fromkeys(names, 0.0)

    def compiled(self, engine: Engine, backbone: BackboneSpec, layers: Sequence[str]) -> None:
        """An engine is ready."""
        self._ran = {
            "precision": engine.precision,
            "device": engine.device,
            "batch": engine.batch,
        }
        if not self._began:
            self._began = time.monotonic()
            self._now["start"] = self._began - self._start
        height, width = backbone.size
        LOG.info(
            f"{backbone.architecture} at {height}x{width}, {len(layers)} layers: {self._engine} on "
            f"{engine.device} in {engine.precision}, {engine.batch} images a batch"
        )

    def waited(self, seconds: float) -> None:
        """The engine waited for images."""
        self._now["read"] += seconds

    def wrote(self, images: int, seconds: float) -> None:
        """A batch is done."""
        self._now["write"] += seconds
        self._images += images
        if time.monotonic() - self._saved > SECONDS_BETWEEN_RECORDS:
            self._saved = time.monotonic()
            write_record(self._part, self._record())

    def _record(self) -> dict[str, Any]:
        now = self._now
        now["total"] = time.monotonic() - self._start
        if self._began:
            now["compute"] = now["total"] - now["start"] - now["read"] - now["write"]
        seconds = {name: self._before[name] + now[name] for name in now}
        busy = seconds["total"] - seconds["start"]
        return {
            "engine": self._engine,
            **self._ran,
            "seconds": seconds,
            "computed": self._images,
            "images_per_second": self._images / busy if self._images else None,
            "peak_memory_bytes": max(self._peak_before, peak_memory() or 0) or None,
            **environment(),
        }

    def finish(self) -> None:
        """Keeps the record of the whole pass, and tells this try's."""
        write_record(self._output, self._record())
        now = self._now
        images = self._images - self._images_before
        if not images:
            LOG.info(f"nothing to compute, {now['total']:.1f} s")
            return
        shares = {
            "reading the images": now["read"],
            "computing": now["compute"],
            "writing the features": now["write"],
        }
        limit = max(shares, key=shares.__getitem__)
        busy = max(now["total"] - now["start"], 1e-9)
        LOG.info(
            f"{images:,} images and views in {now['total']:.1f} s, {images / busy:,.0f} a second "
            f"once started (start {now['start']:.1f} s, waiting for images {now['read']:.1f} s, "
            f"computing {now['compute']:.1f} s, writing {now['write']:.1f} s): the limit was "
            f"{limit}, {shares[limit] / busy:.0%} of the time"
        )

    def forget_part(self) -> None:
        """Removes what was kept for a further try."""
        record_file(self._part).unlink(missing_ok=True)


def _what(output: Path) -> str:
    """The file's name without its fingerprint, and which part of it."""
    if output.parent.suffix == ".parts":
        return f"{_what(output.parent)}, part {output.stem.replace('-', ' ')}"
    return output.name.rpartition("-")[0]

"""The pass: every image once through a frozen backbone, into a features file."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from features.backbones.spec import BackboneSpec
from features.cache.join import remove_leftovers
from features.cache.layout import BLOCK, Contents, blocks
from features.cache.reader import FeatureFile
from features.cache.reuse import reuse
from features.cache.writer import unfinished
from features.datasets import Images, open_images
from features.engines import choose, prepare
from features.engines.graph import Graph
from features.files import alone
from features.load import READ_BYTES, loader
from features.log import PassLog
from features.spec import specs_of
from features.stream import compute, missing_blocks

LOG = logging.getLogger("headstart")

ROWS = 256

GRAPH_PIXELS = 512 * 512
"""Larger images are resized one by one, for a batch of them is too much for a graph's memory."""


def extract(
    dataset_file: Path,
    root: Path | None,
    spec: Mapping[str, Any],
    weights: Path | None,
    output: Path,
    graphs: Path,
    *,
    engine: str = "auto",
    threads: int | None = None,
    part: tuple[int, int] = (0, 1),
) -> None:
    """Runs a data set through a backbone and writes the features file.

    What an earlier try left unfinished is gone on with, and what another file of the same backbone
    and images already holds is copied. A file that is there is left as it is.

    Args:
        dataset_file: The data set as `features.datasets.prepare` wrote it.
        root: Where the images are, for a folder of images.
        spec: All that decides the features' values; see `features.spec.feature_spec`.
        weights: The local weights file, where the spec names one.
        output: The features file. It is named, or its folder if it is a part, by the first eight
            digits of the spec's fingerprint.
        graphs: The folder in which converted graphs are kept.
        engine: "auto", or one of `features.engines.ENGINES`.
        threads: The cores to use on a CPU; all where missing.
        part: Which part, of how many, to compute.

    Raises:
        UserError: The weights are not the backbone's, an image changed since the data set was
            prepared, the features are not finite, or the disk is full.
    """
    if _is_there(output):
        return
    with alone(output):
        # Whoever had the lock may have finished it.
        if _is_there(output):
            return
        start = time.monotonic()
        _, backbone = specs_of(spec)
        threads = threads or os.cpu_count() or 1
        engine = choose(engine)
        with open_images(dataset_file, root) as images:
            size = images.common_size()
            if images.largest() > GRAPH_PIXELS:
                size = None
            graph = Graph(backbone, weights, size, spec["extractor"])
            prepared = prepare(engine, graph, graphs, threads)
            contents = _contents(spec, backbone, images, prepared.layers, prepared.facts, part)
            load = loader(images, backbone, in_graph=size is not None)
            with unfinished(output, contents) as writer:
                if writer.found:
                    LOG.info(f"going on with {output.name}.part")
                reuse(writer, contents, output)
                log = PassLog(output, engine, start)
                for wanted, missing in missing_blocks(writer, contents).items():
                    compiled = prepared.compile(wanted)
                    log.compiled(compiled, backbone, wanted)
                    compute(
                        compiled,
                        wanted,
                        missing,
                        contents,
                        load,
                        writer,
                        log,
                        rows_at_once=_rows_at_once(backbone, size),
                        threads=threads,
                    )
                log.finish()
                writer.finish(output)
                log.forget_part()
        if part == (0, 1):
            remove_leftovers(output, 1)


def _is_there(output: Path) -> bool:
    """Whether the file is there, and then whole."""
    if not output.exists():
        return False
    FeatureFile(output).close()
    LOG.info(f"{output.name} is there already")
    return True


def _contents(
    spec: Mapping[str, Any],
    backbone: BackboneSpec,
    images: Images,
    layers: Mapping[str, tuple[int, ...]],
    facts: Mapping[str, Any],
    part: tuple[int, int],
) -> Contents:
    labels = {split: images.labels(split).astype(np.int64) for split in images.splits}
    counts = {split: len(values) for split, values in labels.items()}
    number, parts = part
    ranges = {}
    for split, count in counts.items():
        first, end = (blocks(count) * i // parts * BLOCK for i in (number, number + 1))
        ranges[split] = (first, min(end, count))
    return Contents(
        spec=spec,
        classes=images.classes,
        views=backbone.views,
        layers=layers,
        labels=labels,
        ids={split: images.ids(split) for split in images.splits},
        dtype=backbone.dtype,
        facts={
            "channels": {name: shape[-1] for name, shape in layers.items()},
            "backbone": dict(facts),
            "dataset": {"images": counts, "broken": images.broken},
        },
        rows=ranges,
    )


def _rows_at_once(backbone: BackboneSpec, size: tuple[int, int] | None) -> int:
    """How many images, each in all its views, a thread may hold."""
    height, width = size or backbone.size
    image = height * width * 3 * (1 if size else 4)
    return min(ROWS, READ_BYTES // (image * len(backbone.views)))

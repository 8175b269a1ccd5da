"""The pass: every image once through a frozen backbone, into a features file."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.backbones.build import build_backbone
from features.backbones.pooled import pooled_model, resizer
from features.backbones.spec import BackboneSpec
from features.cache import BLOCK, FeatureWriter, create
from features.datasets import Images, open_images
from features.engine import Run, tensorflow_engine
from features.environment import environment
from features.errors import UserError
from features.progress import progress
from features.spec import parts_of

if TYPE_CHECKING:
    import keras

LOG = logging.getLogger("headstart")

VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda images: images,
    "mirror": lambda images: images[:, :, ::-1],
}
"""What a backbone may see of images (images, height, width, 3)."""

FLOAT16_MAX = float(np.finfo(np.float16).max)

CHUNK = 256
"""Images that are read and computed at once; a block is several chunks."""

READ_BYTES = 64 * 2**20
"""What images at their own size may take in memory while they are resized outside the graph."""

GRAPH_PIXELS = 512 * 512
"""Larger images are resized one by one, for a batch of them is too much for a graph's memory."""

Load = Callable[[str, int, int], np.ndarray]
"""Split, start and stop to images (images, height, width, 3), uint8 or, if resized, float32."""


def extract(
    dataset_file: Path,
    root: Path | None,
    spec: Mapping[str, Any],
    weights: Path | None,
    output: Path,
) -> None:
    """Runs a data set through a backbone and writes the features file.

    Args:
        dataset_file: The data set as `features.datasets.prepare` wrote it.
        root: Where the images are, for a folder of images.
        spec: All that decides the features' values; see `features.spec.feature_spec`.
        weights: The local weights file, where the spec names one.
        output: The features file; its name ends in its fingerprint's first eight digits.

    Raises:
        UserError: The weights are not the backbone's, an image changed since the data set was
            prepared, or the features are not finite.
    """
    start = time.monotonic()
    _, backbone = parts_of(spec)
    with open_images(dataset_file, root) as images:
        size = images.common_size()
        if images.largest() > GRAPH_PIXELS:
            size = None
        load = _loader(images, backbone, in_graph=size is not None)
        model = build_backbone(backbone, weights)
        graph, layers = pooled_model(model, backbone, size)
        run = tensorflow_engine(graph)
        channels = {
            layer: int(tensor.shape[-1])
            for layer, tensor in zip(layers, graph.outputs, strict=True)
        }
        LOG.info(
            f"{backbone.architecture} at {backbone.size[0]}x{backbone.size[1]}: "
            f"{len(layers)} layers, {sum(channels.values()):,} features an image and view"
        )
        seconds = {"start": time.monotonic() - start, "read": 0.0, "compute": 0.0, "write": 0.0}
        with create(output, spec, images.classes, layers, backbone.views) as writer:
            total = sum(len(images.labels(split)) for split in images.splits)
            with progress(total, output.stem.rpartition("-")[0]) as advance:
                for split in images.splits:
                    writer.add_split(
                        split,
                        images.labels(split),
                        images.ids(split),
                        backbone.views,
                        channels,
                    )
                    _pass_split(
                        split, images, backbone, load, run, layers, writer, seconds, advance
                    )
            seconds["total"] = time.monotonic() - start
            views = len(backbone.views)
            rate = total * views / (seconds["total"] - seconds["start"])
            LOG.info(
                f"{total:,} images x {views} views in {seconds['total']:.1f} s, {rate:,.0f} "
                f"images/s (start {seconds['start']:.1f} s, waiting for images "
                f"{seconds['read']:.1f} s, computing {seconds['compute']:.1f} s, writing "
                f"{seconds['write']:.1f} s)"
            )
            writer.finish(
                {
                    "seconds": seconds,
                    "images_per_second": rate,
                    "channels": channels,
                    "backbone": {
                        "parameters": model.count_params(),
                        "weights_sha256": weights_digest(model),
                    },
                    "dataset": {
                        "images": {s: len(images.labels(s)) for s in images.splits},
                        "broken": images.broken,
                    },
                    "precision": "float32",
                    **environment(),
                }
            )


def _pass_split(
    split: str,
    images: Images,
    backbone: BackboneSpec,
    load: Load,
    run: Run,
    layers: list[str],
    writer: FeatureWriter,
    seconds: dict[str, float],
    advance: Callable[[int], None],
) -> None:
    count = len(images.labels(split))
    waiting: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    for stop, pixels in _chunks(split, count, load, seconds):
        start = time.monotonic()
        for view in backbone.views:
            for layer, array in zip(layers, run(VIEWS[view](pixels)), strict=True):
                waiting[view, layer].append(_half(array, layer))
        computed = time.monotonic()
        if stop % BLOCK == 0 or stop == count:
            for (view, layer), arrays in waiting.items():
                writer.write(split, view, layer, (stop - 1) // BLOCK, np.concatenate(arrays))
            waiting.clear()
        seconds["compute"] += computed - start
        seconds["write"] += time.monotonic() - computed
        advance(len(pixels))


def _chunks(
    split: str, count: int, load: Load, seconds: dict[str, float]
) -> Iterator[tuple[int, np.ndarray]]:
    """Reads chunk after chunk, one ahead of what is computed; gives each with where it stops."""
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(load, split, 0, min(CHUNK, count))
        for start in range(0, count, CHUNK):
            stop = min(start + CHUNK, count)
            waiting = time.monotonic()
            pixels = ahead.result()
            seconds["read"] += time.monotonic() - waiting
            if stop < count:
                ahead = reader.submit(load, split, stop, min(stop + CHUNK, count))
            yield stop, pixels


def _loader(images: Images, backbone: BackboneSpec, in_graph: bool) -> Load:
    """What reads images, resized where the graph does not do it."""
    if in_graph:
        return lambda split, start, stop: np.asarray(images.read(split, start, stop))
    resize = resizer(backbone)
    few = max(1, READ_BYTES // (3 * images.largest()))

    def load(split: str, start: int, stop: int) -> np.ndarray:
        # One by one, each as the graph would have done it, and few at their own size at a time.
        return np.concatenate(
            [
                np.asarray(resize(image[None].astype(np.float32)))
                for first in range(start, stop, few)
                for image in images.read(split, first, min(first + few, stop))
            ]
        )

    return load


def _half(array: np.ndarray, layer: str) -> np.ndarray:
    """Casts to float16; a value beyond its range becomes its largest."""
    if not np.isfinite(array).all():
        raise UserError(
            f"layer {layer} gives features that are not finite: the weights are damaged, or the "
            "preprocessing is not theirs"
        )
    return array.clip(-FLOAT16_MAX, FLOAT16_MAX).astype(np.float16)


def weights_digest(model: keras.Model) -> str:
    """The sha256 over all of a model's weights, wherever they came from."""
    import hashlib

    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight.numpy()).data)
    return digest.hexdigest()

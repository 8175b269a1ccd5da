"""How many images an engine takes at once."""

from __future__ import annotations

import logging
from collections.abc import Callable

from features.cache.layout import BLOCK
from features.engines.graph import Graph
from features.errors import UserError

LOG = logging.getLogger("headstart")

CPU_BATCH = 32

BATCH_PIXELS = 256 * 224 * 224
LARGEST_BATCH = 2048


def largest_batch(graph: Graph) -> int:
    """A batch that fills a GPU: the power of two next to `BATCH_PIXELS` at the backbone's input."""
    height, width = graph.backbone.size
    batch = LARGEST_BATCH
    while batch > BLOCK and batch * height * width > BATCH_PIXELS:
        batch //= 2
    return batch


def fits(attempt: Callable[[int], None], batch: int, out_of_memory: type[Exception]) -> int:
    """The largest batch that the device's memory takes: half by half, from one that is large.

    Args:
        attempt: Computes a batch of a size, or raises.
        batch: The size to begin with.
        out_of_memory: What `attempt` then raises.

    Raises:
        UserError: Not even one image fits.
    """
    while True:
        try:
            attempt(batch)
            return batch
        except out_of_memory as error:
            if "RESOURCE_EXHAUSTED" not in str(error) and "memory" not in str(error).lower():
                raise
            if batch == 1:
                raise UserError(
                    "the device's memory does not take a single image through this backbone; take "
                    "a smaller `size`, or `engine: openvino`, which computes on the CPU"
                ) from error
            batch //= 2
            LOG.info(f"the device is out of memory; trying batches of {batch}")

"""Images as a graph takes them: in their views, and resized where the graph does not do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from features.backbones.spec import BackboneSpec
from features.cache.layout import Array
from features.datasets import Images
from features.resize import resize
from features.views import see

READ_BYTES = 32 * 2**20
"""What the images that a thread reads at once may take in memory, about."""

Load = Callable[[Sequence[str], str, int, int], list[Array]]
"""Views, split, start and stop to the images by view, (images, height, width, 3): uint8, or resized
float32."""


def loader(images: Images, backbone: BackboneSpec, in_graph: bool) -> Load:
    """What reads images once for all views, resized where the graph does not do it.

    Args:
        images: The images.
        backbone: The size to come to, and how.
        in_graph: Whether the graph resizes.
    """
    few = max(1, READ_BYTES // (3 * images.largest()))

    def own_size(views: Sequence[str], split: str, start: int, stop: int) -> list[Any]:
        read, ids = images.read(split, start, stop), images.ids(split)[start:stop]
        return [see(view, read, ids) for view in views]

    def resized(views: Sequence[str], split: str, start: int, stop: int) -> list[Array]:
        # One by one, each as the graph would have done it, and few at their own size at a time.
        small: list[list[Array]] = [[] for _ in views]
        for first in range(start, stop, few):
            seen = own_size(views, split, first, min(first + few, stop))
            for kept, shown in zip(small, seen, strict=True):
                kept += [
                    resize(
                        image,
                        backbone.size,
                        backbone.interpolation,
                        backbone.resize,
                        backbone.antialias,
                    )
                    for image in shown
                ]
        return [np.stack(kept) for kept in small]

    return own_size if in_graph else resized

"""Which layers of a backbone are worth keeping, found from its graph."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

PASSIVE = {
    "InputLayer",
    "ZeroPadding2D",
    "Cropping2D",
    "Dropout",
    "SpatialDropout2D",
    "Rescaling",
    "Normalization",
    "Resizing",
}
"""Layers that compute no feature of their own."""

DOWNSAMPLING = 1.5
"""A smaller factor in height is a convolution's lost border and no new resolution."""


def stages(backbone: keras.Model) -> list[str]:
    """Names the layers that stand for a backbone's stages, by depth.

    A backbone of several outputs says so itself: they are its stages.

    Only layers through which every path runs count: the outputs of blocks, never a branch within
    one. Of these, each resolution gives its widest layer (the last of them, thus after its
    activation), and each narrower peak of width between two bottlenecks gives one more: in an
    inverted residual network the wide activations hold far more than the bottlenecks. The
    backbone's last layer is always among them, at the end. Where no such layer is left at some
    resolution, as in NASNet, whose cells see two cells back, the last of the widest there stands
    for it.

    That intermediate layers carry much of what fine-tuning would bring is shown by Evci et al.
    2022, "Head2Toe: utilizing intermediate representations for better transfer learning".

    Args:
        backbone: A functional model whose outputs are spatial, (batch, height, width, channels).

    Returns:
        Names of operations of `backbone`.
    """
    if len(backbone.outputs) > 1:
        return [output._keras_history.operation.name for output in backbone.outputs]
    chain = _with_skipped(backbone, [o for o in articulations(backbone) if _is_feature(o)])
    last = chain[-1][0]
    # What comes before the first convolution is preprocessing.
    while len(chain) > 1 and chain[0][2] == 3:
        chain.pop(0)
    names: list[str] = []
    for group in _resolutions(chain):
        widest = max(width for _, _, width in group)
        peaks = _peaks([width for _, _, width in group])
        full = [i for i, (_, _, width) in enumerate(group) if width == widest][-1]
        # A plateau at the start is the tail of the peak before it, past a strided convolution.
        kept = {full} | {i for i in peaks if names == [] or i >= _first_dip(group)}
        names += [group[i][0] for i in sorted(kept)]
    return [name for name in names if name != last] + [last]


Link = tuple[str, int, int]
"""An operation's name, and the height and width (channels) of what it gives."""


def _is_feature(operation: Any) -> bool:
    return (
        len(getattr(operation.output, "shape", ())) == 4 and type(operation).__name__ not in PASSIVE
    )


def _with_skipped(model: keras.Model, through: Sequence[Any]) -> list[Link]:
    """The operations through which every path runs, and one for each resolution without any."""
    operations = list(model.operations)

    def link(operation: Any) -> Link:
        return operation.name, operation.output.shape[1], operation.output.shape[3]

    chain = [link(through[0])]
    for before, after in pairwise(through):
        high, low = before.output.shape[1], after.output.shape[1]
        if high > 2 * DOWNSAMPLING * low:
            between = operations[operations.index(before) : operations.index(after)]
            links = [link(operation) for operation in between if _is_feature(operation)]
            skipped = [
                found for found in links if high > DOWNSAMPLING * found[1] > DOWNSAMPLING**2 * low
            ]
            for group in _resolutions(sorted(skipped, key=lambda found: -found[1])):
                widest = max(width for _, _, width in group)
                chain.append([found for found in group if found[2] == widest][-1])
        chain.append(link(after))
    return chain


def articulations(model: keras.Model) -> list[Any]:
    """The operations, by depth, through which every path from input to output runs."""
    operations = list(model.operations)
    position = {id(operation): i for i, operation in enumerate(operations)}
    reach = list(range(len(operations)))
    for i, operation in enumerate(operations):
        for node in operation._inbound_nodes:
            for parent in node.parent_nodes:
                source = position.get(id(parent.operation))
                if source is not None:
                    reach[source] = max(reach[source], i)
    through = []
    furthest = 0
    for i, operation in enumerate(operations):
        if furthest <= i and hasattr(operation.output, "shape"):
            through.append(operation)
        furthest = max(furthest, reach[i])
    return through


def _resolutions(chain: list[Link]) -> list[list[Link]]:
    """Splits a chain of (name, height, width) where the height falls."""
    groups = [[chain[0]]]
    for link in chain[1:]:
        if link[1] * DOWNSAMPLING <= groups[-1][0][1]:
            groups.append([])
        groups[-1].append(link)
    return groups


def _peaks(widths: list[int]) -> list[int]:
    """Where a width is about to fall after it had risen or begun: the ends of the plateaus."""
    peaks = []
    rising = True
    for i, (width, following) in enumerate(pairwise(widths)):
        if following < width and rising:
            peaks.append(i)
            rising = False
        elif following > width:
            rising = True
    return peaks


def _first_dip(group: list[Link]) -> int:
    """The first place whose width is below that of the group's start."""
    widths = [width for _, _, width in group]
    below = [i for i, width in enumerate(widths) if width < widths[0]]
    return below[0] if below else len(widths)

"""The rows that a network sees, in memory or larger than memory, an epoch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import dask.array

GROUP_BYTES = 128 * 2**20
"""What the blocks take together whose rows are shuffled among each other, about."""

READ_ROWS = 4096
"""Rows of an array in memory that are looked at together."""

Rows = Any  # np.ndarray or dask.array.Array
Portion = tuple[np.ndarray, np.ndarray, np.ndarray]


def is_lazy(X: Rows) -> bool:
    """Whether these are the rows of a dask array; asks without loading dask."""
    return type(X).__module__.partition(".")[0] == "dask"


def whole_rows(X: dask.array.Array) -> dask.array.Array:
    """The same array in blocks of whole rows, each in one piece."""
    rows: dask.array.Array = X.rechunk({1: -1})  # type: ignore[no-untyped-call]
    return rows


def blocks(X: Rows) -> Iterator[np.ndarray]:
    """The rows in their order, some at a time, float32 (rows, features)."""
    if is_lazy(X):
        for number in range(X.numblocks[0]):
            yield _computed(X, number)
    else:
        for start in range(0, len(X), READ_ROWS):
            yield X[start : start + READ_ROWS]


def _computed(X: dask.array.Array, number: int) -> np.ndarray:
    """A block, read where dask's scheduler has it read."""
    values: np.ndarray = X.blocks[number].compute().astype(np.float32, copy=False)
    return values


def shuffled(
    X: Rows, targets: np.ndarray, batch: int, generator: np.random.Generator
) -> Iterator[Portion]:
    """An epoch: every row once, in a random order.

    In memory the order is any. Of a dask array the blocks come in a random order, some at a time
    (`GROUP_BYTES`), and the rows of these are shuffled among each other: what lies close together
    in the file stays closer than chance would have it.

    Args:
        X: float (n, features).
        targets: int32 (n,).
        batch: Rows a step. What is left over by some blocks goes to the next, so that only the last
            step of an epoch is smaller.
        generator: Draws the order.

    Yields:
        Rows, their targets, and the order, int32, in which to take them. Those of a dask array are
        the receiver's own.
    """
    if not is_lazy(X):
        yield X, targets, generator.permutation(len(X)).astype(np.int32)
        return
    starts = np.concatenate([[0], np.cumsum(X.chunks[0])])
    numbers = generator.permutation(X.numblocks[0])
    row_bytes = 4 * X.shape[1]
    left, left_targets = np.empty((0, X.shape[1]), np.float32), targets[:0]
    while len(numbers):
        sizes = np.cumsum(np.diff(starts)[numbers])
        take = max(1, int(np.searchsorted(sizes * row_bytes, GROUP_BYTES, side="right")))
        chosen, numbers = numbers[:take], numbers[take:]
        values = np.empty((len(left) + sizes[take - 1], X.shape[1]), np.float32)
        values[: len(left)] = left
        place = len(left)
        for number in chosen:
            block = _computed(X, number)
            values[place : place + len(block)] = block
            place += len(block)
        rows = [targets[starts[number] : starts[number + 1]] for number in chosen]
        joined = np.concatenate([left_targets, *rows])
        order = generator.permutation(len(values)).astype(np.int32)
        whole = len(order) - (len(order) % batch if len(numbers) else 0)
        left, left_targets = values[order[whole:]], joined[order[whole:]]
        if whole:
            portion = [(values, joined, order[:whole])]
            del values, joined  # who takes them may let them go before the next are read
            yield portion.pop()

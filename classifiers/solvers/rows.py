"""Rows in blocks: all that a linear head needs of the data are sums over blocks of rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from typing import Any

import numpy as np
from sklearn.externals.array_api_compat import (
    array_namespace,
    device,
    is_dask_array,
    is_jax_array,
    is_torch_array,
)
from threadpoolctl import ThreadpoolController

Array = np.ndarray
Block = Callable[..., tuple[Any, ...]]

CACHE_BYTES = 2**20
"""A block of float32 of this size stays in a core's cache, so that memory is read once for all
that is done with it."""

TASKS = 64
"""Into how many tasks, at most, rows in memory are cut: by the rows and never by the cores, so that
the order of the additions, and with it the result, is the same on every machine."""

DEVICE_ROWS = 2**16
"""Of a block on a device, which has no cache to mind but must not hold all rows a second time."""


SMALL = 2**22
"""Up to so many numbers in memory are computed with as float64, which then costs nothing: few rows
in many dimensions are often separable, and their losses too small for float32."""


class Rows:
    """Features with a label code each, to be summed over in blocks.

    One code for three kinds of features: a numpy array (blocks are views, computed side by side in
    threads, each with one BLAS thread), a dask array (a task is a chunk of rows, computed by dask's
    scheduler or by the `dask.distributed` client that is active) and an array on a device (of JAX
    or PyTorch: blocks are computed there, only sums leave it).

    Attributes:
        X: (n, dimensions), a floating-point dtype; computed with as float32, or as float64 where
            it is small.
        codes: int (n,), numpy.
        n: How many rows.
        dimensions: How many columns.
    """

    def __init__(self, X: Any, codes: Array) -> None:
        """Keeps both; nothing is computed."""
        self.n, self.dimensions = X.shape
        self.codes = codes
        self.lazy = is_dask_array(X)
        self.on_device = not (self.lazy or in_memory(X))
        if self.lazy and X.numblocks[1] > 1:
            X = X.rechunk({1: -1})
        if in_memory(X) and X.size <= SMALL:
            X = X.astype(np.float64)
        self.X = X
        self._blas = ThreadpoolController()

    def one_thread(self) -> AbstractContextManager[Any]:
        """Where BLAS computes in one thread: side by side with others, or on small things."""
        limited: AbstractContextManager[Any] = self._blas.limit(limits=1, user_api="blas")
        return limited

    def sum(self, function: Block, *arguments: Array, rows: int | None = None) -> tuple[Array, ...]:
        """Sums what a function gives of each block of rows.

        Args:
            function: From a block (rows, dimensions), its codes (rows,) and the arguments to a
                tuple of arrays, in the namespace and the dtype of the block.
            arguments: Arrays of numpy, handed to every call.
            rows: How many rows a block has; as many as stay in cache where missing.

        Returns:
            The sums, float64, of numpy.
        """
        return reduce(_add, self._parts(function, arguments, rows))

    def stack(self, function: Block, *arguments: Array) -> Array:
        """Stacks what a function gives of each block, in the order of the rows.

        Args:
            function: As for `sum`, but it gives one array with a line a row, in a tuple.
            arguments: As for `sum`.

        Returns:
            float32 (n, ...), of numpy.
        """
        return np.concatenate(list(self._parts(function, arguments, None, _stacked)))

    def _parts(
        self, function: Block, arguments: Iterable[Array], rows: int | None, part: Any = None
    ) -> Iterator[Any]:
        """What each task gives, in the order of the rows."""
        part = part or _summed
        rows = rows or max(64, CACHE_BYTES // (4 * self.dimensions))
        if self.lazy:
            with self.one_thread():
                return _by_dask(part, function, self.X, self.codes, rows, arguments)
        if self.on_device:
            with _full_precision(self.X):
                return iter([part(function, self.X, self.codes, DEVICE_ROWS, *arguments)])
        return self._in_threads(part, function, rows, arguments)

    def _in_threads(
        self, part: Any, function: Block, rows: int, arguments: Iterable[Array]
    ) -> Iterator[Any]:
        # A whole number of blocks for each task.
        step = -(-self.n // (TASKS * rows)) * rows
        starts = range(0, self.n, step)

        def task(start: int) -> Any:
            some = slice(start, start + step)
            return part(function, self.X[some], self.codes[some], rows, *arguments)

        with self.one_thread():
            if len(starts) == 1:
                yield task(0)
                return
            with ThreadPoolExecutor(min(len(starts), _cores())) as pool:
                yield from pool.map(task, starts)


def in_memory(X: Any) -> bool:
    """Whether features are an array of numpy, or what numpy makes one of: lists, frames."""
    others = (is_dask_array, is_jax_array, is_torch_array)
    return not any(is_one(X) for is_one in others)


def _summed(
    function: Block, X: Any, codes: Array, rows: int, *arguments: Array
) -> tuple[Array, ...]:
    return reduce(_add, _blocks(function, X, codes, rows, arguments))


def _stacked(function: Block, X: Any, codes: Array, rows: int, *arguments: Array) -> Array:
    blocks = _blocks(function, X, codes, rows, arguments, np.float32)
    return np.concatenate([block for (block,) in blocks])


def _blocks(
    function: Block,
    X: Any,
    codes: Array,
    rows: int,
    arguments: Iterable[Array],
    dtype: type = np.float64,
) -> Iterator[tuple[Array, ...]]:
    """What a function gives of each block of rows in memory or on a device, brought to numpy."""
    xp, place = array_namespace(X), device(X)
    exact = xp.float64 if X.dtype == xp.float64 else xp.float32
    there = [
        xp.asarray(a, dtype=exact if a.dtype.kind == "f" else None, device=place) for a in arguments
    ]
    for start in range(0, len(X), rows):
        some = slice(start, start + rows)
        block = xp.astype(X[some], exact, copy=False)
        values = function(block, xp.asarray(codes[some], device=place), *there)
        yield tuple(to_numpy(value).astype(dtype, copy=False) for value in values)


def to_numpy(value: Any) -> Array:
    """An array, also one on a device; PyTorch's would not come by itself."""
    return np.asarray(value.cpu() if is_torch_array(value) else value)


def _add(one: tuple[Array, ...], other: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(np.add(a, b) for a, b in zip(one, other, strict=True))


def _by_dask(
    part: Any, function: Block, X: Any, codes: Array, rows: int, arguments: Iterable[Array]
) -> Iterator[Any]:
    """A task a chunk. Sums are added in pairs, so that few of them are in memory at a time."""
    from dask.base import compute
    from dask.delayed import delayed

    run = delayed(part, pure=False)
    given = [delayed(argument, pure=False) for argument in arguments]
    ends = np.cumsum(X.chunks[0])
    parts = [
        run(function, chunk, codes[end - size : end], rows, *given)
        for chunk, size, end in zip(X.to_delayed().ravel(), X.chunks[0], ends, strict=True)
        if size
    ]
    if part is _summed:
        add = delayed(_add, pure=False)
        while len(parts) > 1:
            parts = [
                add(*parts[i : i + 2]) if parts[i + 1 :] else parts[i]
                for i in range(0, len(parts), 2)
            ]
    return iter(compute(*parts))  # type: ignore[no-untyped-call]


def _full_precision(X: Any) -> AbstractContextManager[Any]:
    """JAX multiplies with fewer bits on a GPU unless it is asked not to."""
    if is_jax_array(X):
        import jax

        precise: AbstractContextManager[Any] = jax.default_matmul_precision("highest")
        return precise
    return nullcontext()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Rows in memory or in blocks: each once an epoch."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from classifiers.network import rows as module
from classifiers.network.rows import blocks, is_lazy, shuffled, whole_rows

BATCH = 16


def numbered(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose first feature is their number, and so is their target."""
    values = np.zeros((rows, 6), np.float16)
    values[:, 0] = np.arange(rows)
    return values, np.arange(rows, dtype=np.int32)


def test_an_array_is_shuffled_whole() -> None:
    values, targets = numbered(100)
    ((same, also, order),) = shuffled(values, targets, BATCH, np.random.default_rng(0))
    assert same is values and also is targets
    assert sorted(order) == list(range(100))


@pytest.mark.parametrize("group", [1, 300, 1000, 10**9])
def test_every_row_of_a_dask_array_comes_once_with_its_target(
    group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GROUP_BYTES", group)
    values, targets = numbered(250)
    lazy = whole_rows(da.from_array(values, chunks=(33, 4)))
    generator = np.random.default_rng(0)
    orders = []
    for _ in range(2):
        seen, sizes = [], []
        for part, wanted, order in shuffled(lazy, targets, BATCH, generator):
            assert part.dtype == np.float32
            assert np.array_equal(part[order, 0], wanted[order])
            assert part.nbytes <= max(group, 33 * 24) + BATCH * 24, "bounded memory"
            seen += wanted[order].tolist()
            sizes.append(len(order))
        assert sorted(seen) == list(range(250))
        assert all(size % BATCH == 0 for size in sizes[:-1])
        orders.append(seen)
    assert orders[0] != orders[1]


def test_blocks_are_the_rows_in_their_order() -> None:
    values, _ = numbered(5000 % 2048)
    lazy = whole_rows(da.from_array(values, chunks=(700, 6)))
    assert is_lazy(lazy) and not is_lazy(values)
    assert np.array_equal(np.concatenate(list(blocks(lazy))), values)
    assert np.array_equal(np.concatenate(list(blocks(values))), values)

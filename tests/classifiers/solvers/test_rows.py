"""Sums over blocks of rows, wherever the rows are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.externals.array_api_compat import array_namespace

from classifiers.solvers import rows as module
from classifiers.solvers.rows import Rows


def products(X: Any, codes: Any, weights: Any) -> tuple[Any, Any]:
    """Something that depends on every row, its code and an argument."""
    xp = array_namespace(X)
    return X.T @ X, xp.sum((X @ weights) * codes[:, None])


def scaled(X: Any, codes: Any, weights: Any) -> tuple[Any]:
    return (X @ weights + codes[:, None],)


def data(rows: int, width: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(rows)
    X = rng.normal(size=(rows, width)).astype(np.float16)
    return X, rng.integers(0, 4, rows), rng.normal(size=(width, 2)).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 700), st.integers(1, 300), st.data())
def test_blocks_and_chunks_of_any_size_give_the_sum_over_all(
    count: int, block: int, draw: st.DataObject
) -> None:
    import dask.array as da

    X, codes, weights = data(count)
    whole = X.astype(float)
    expected = whole.T @ whole, ((whole @ weights) * codes[:, None]).sum()
    chunk = draw.draw(st.integers(1, count))
    places = [X, da.from_array(X, chunks=(chunk, 2))] if count / chunk < 40 else [X]
    for values in places:
        gram, total = Rows(values, codes).sum(products, weights, rows=block)
        assert gram.dtype == np.float64
        assert gram == pytest.approx(expected[0], abs=1e-3)
        assert total == pytest.approx(expected[1], abs=1e-2)
        lines = Rows(values, codes).stack(scaled, weights)
        assert lines == pytest.approx(whole @ weights + codes[:, None], abs=1e-4)


def test_a_device_s_array_gives_the_same() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    X, codes, weights = data(100)
    there = Rows(jax.numpy.asarray(X), codes)
    for found, expected in zip(
        there.sum(products, weights), Rows(X, codes).sum(products, weights), strict=True
    ):
        assert isinstance(found, np.ndarray)
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-3)
    assert there.stack(scaled, weights) == pytest.approx(
        Rows(X, codes).stack(scaled, weights), abs=1e-5
    )


def test_the_number_of_cores_decides_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    X, codes, weights = data(5000)
    found = []
    for cores in (1, 3):
        monkeypatch.setattr(module, "_cores", lambda cores=cores: cores)
        found.append(Rows(X, codes).sum(products, weights, rows=64))
    assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))


def test_a_cluster_gives_the_same() -> None:
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    import dask.array as da

    X, codes, weights = data(300)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
    ):
        lazy = Rows(da.from_array(X, chunks=(70, -1)), codes)
        found, lines = lazy.sum(products, weights), lazy.stack(scaled, weights)
    expected = Rows(X, codes)
    for one, other in zip(found, expected.sum(products, weights), strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-4)
    assert lines == pytest.approx(expected.stack(scaled, weights), abs=1e-5)

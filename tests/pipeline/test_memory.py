"""How much of the features a head may have in memory, and on whose machines it is fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster

from classifiers.fit import fit_head
from classifiers.spec import Choice, HeadSpec
from classifiers.store import load_run, read_json
from features.cache import write_features
from features.errors import UserError
from features.files import fingerprint
from pipeline import memory

CHOICE = Choice("last", "rows", root=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Features of three classes in two views."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 3
    spec = {"dataset": {}, "made": True}
    file = tmp_path / f"made-{fingerprint(spec)[:8]}.h5"
    arrays = {
        (view, "last"): rng.normal(size=(400, 8)) + labels[:, None] for view in ("one", "two")
    }
    write_features(
        file,
        splits={"train": (labels, [str(row) for row in range(400)], arrays)},
        classes=["a", "b", "c"],
        views=["one", "two"],
        spec=spec,
        record={},
    )
    return file


@pytest.mark.parametrize(
    ("type", "said", "scheduler", "expected"),
    [
        ("ridge", 5e9, "", 5e9),
        ("knn", 5e9, "", 5e9),
        ("knn", 0, "", None),
        ("knn", 0, "tcp://a:1", None),
        ("ridge", 5e9, "tcp://a:1", 0.0),
    ],
)
def test_the_limit_is_what_is_said(
    type: str, said: float, scheduler: str, expected: float | None
) -> None:
    assert memory.limit(type, said, scheduler) == expected


def test_the_limit_that_nobody_set_is_a_part_of_the_machine() -> None:
    found = memory.limit("ridge", 0, "")
    assert found is not None
    assert 1e8 < found < 1e14


@pytest.mark.parametrize("type", ["logistic", "ridge"])
def test_a_head_fitted_by_workers_of_their_own_is_the_same(
    type: str, path: Path, tmp_path: Path
) -> None:
    head = HeadSpec(type, {"logistic": {"C": [0.01, 0.1]}, "ridge": {"alpha": 1.0}}[type], CHOICE)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        with memory.workers(address):
            limit = memory.limit(type, 0, address)
            fit_head(path, head, tmp_path / "far", validation=0.2, seed=0, memory=limit)
    fit_head(path, head, tmp_path / "near", validation=0.2, seed=0)
    fits = [read_json(tmp_path / place / "fit.json") for place in ("far", "near")]
    assert [fit["read_in_blocks"] for fit in fits] == [True, False]
    assert fits[0]["validation"] == fits[1]["validation"]
    heads = [
        load_run(tmp_path / place, fit)[0] for place, fit in zip(("far", "near"), fits, strict=True)
    ]
    new = np.random.default_rng(1).normal(size=(50, 2, 8)).astype(np.float32)
    assert np.array_equal(heads[0].predict(new), heads[1].predict(new))


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SECONDS", 1)
    with (
        pytest.raises(UserError, match=r"tcp://127\.0\.0\.1:9: nobody answers.*dask worker"),
        memory.workers("tcp://127.0.0.1:9"),
    ):
        pass

"""A head over its seeds."""

from __future__ import annotations

from typing import Any

import pytest

from classifiers.seeds import over_seeds


def run(head: str, seed: int, test: float) -> dict[str, Any]:
    return {
        "backbone": "net",
        "head": head,
        "seed": seed,
        "validation": {"accuracy": test - 0.1},
        "test": {"accuracy": test},
    }


def test_the_runs_of_a_head_are_put_together() -> None:
    dense, knn = over_seeds(
        [run("dense", 2, 0.74), run("knn", 0, 0.6), run("dense", 0, 0.70), run("dense", 1, 0.72)]
    )
    assert (dense["head"], dense["seeds"]) == ("dense", [0, 1, 2])
    assert dense["test"]["mean"] == pytest.approx(0.72)
    assert dense["validation"]["mean"] == pytest.approx(0.62)
    assert dense["test"]["deviation"] == pytest.approx(0.02)
    # Student's t of two degrees of freedom: 4.303.
    half = 4.302653 * 0.02 / 3**0.5
    assert dense["test"]["low"] == pytest.approx(0.72 - half)
    assert dense["test"]["high"] == pytest.approx(0.72 + half)
    assert knn["test"] == {"mean": 0.6, "deviation": None, "low": None, "high": None}

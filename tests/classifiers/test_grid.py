"""Grids, their order, and their edges."""

from __future__ import annotations

from typing import Any

import pytest

from classifiers.grid import candidates, edge_warnings
from features.errors import UserError


def test_grids_are_combined_in_the_order_they_are_written() -> None:
    tried = list(candidates({"k": [9, 1], "metric": ["cosine", "euclidean"]}))
    assert tried == [
        {"k": 9, "metric": "cosine"},
        {"k": 9, "metric": "euclidean"},
        {"k": 1, "metric": "cosine"},
        {"k": 1, "metric": "euclidean"},
    ]


@pytest.mark.parametrize(
    ("hidden", "tried"),
    [
        ([256, 128], [[256, 128]]),
        ((256, 128), [[256, 128]]),
        ([], [[]]),
        ([[64], [128, 64], []], [[64], [128, 64], []]),
    ],
)
def test_hidden_is_a_grid_only_as_a_list_of_lists(hidden: Any, tried: list[list[int]]) -> None:
    assert [entry["hidden"] for entry in candidates({"hidden": hidden})] == tried


@pytest.mark.parametrize("settings", [{"C": []}, {"hidden": [64, [128]]}])
def test_a_grid_that_is_none_is_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"^{next(iter(settings))}: "):
        list(candidates(settings))


@pytest.mark.parametrize(
    ("grid", "best", "warned"),
    [
        ([0.1, 1, 10], 10, True),
        ([10, 1, 0.1], 0.1, True),
        ([0.1, 1, 10], 1, False),
        ([0.1, 1], 1, False),
        (1, 1, False),
    ],
)
def test_the_best_at_an_edge_of_three_or_more_values_is_told(
    grid: Any, best: float, warned: bool
) -> None:
    told = edge_warnings({"C": grid}, {"C": best})
    assert told == ([f"the best C={best} lies on the edge of its grid: widen it"] if warned else [])


def test_an_edge_that_cannot_be_widened_is_not_told() -> None:
    assert not edge_warnings({"k": [9, 3, 1], "dropout": [0, 0.2, 0.4]}, {"k": 1, "dropout": 0})


def test_names_and_layers_have_no_edge() -> None:
    settings = {"optimizer": ["adam", "sgd", "rmsprop"], "hidden": [[1], [2], [3]]}
    assert not edge_warnings(settings, {"optimizer": "adam", "hidden": [3]})

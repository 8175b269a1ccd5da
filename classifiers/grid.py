"""Settings that are grids: their candidates in order, and a best value that lies on an edge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from features.errors import UserError

LIST_SETTINGS = frozenset({"hidden", "stack"})
"""Settings that are lists by nature: a list of lists is their grid."""

FLOORS = {"k": 1, "dropout": 0}
CEILINGS = {"shrinkage": 1}
"""Values beyond which a setting has no meaning, so that its grid cannot be widened there."""


def candidates(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of the grids' values.

    The last setting varies fastest, and a grid keeps the order in which it is written. Where two
    candidates tie the first is chosen, so write the simpler or more regularised value first.

    Raises:
        UserError: A grid is empty, or mixes lists and single values.
    """
    grids = [_grid(name, value) for name, value in settings.items()]
    for values in product(*grids):
        yield dict(zip(settings, values, strict=True))


def _grid(name: str, value: Any) -> list[Any]:
    """The values that a setting may take; one value is a grid of itself."""
    if not isinstance(value, list | tuple):
        return [value]
    if name in LIST_SETTINGS:
        nested = [isinstance(entry, list | tuple) for entry in value]
        if any(nested) and not all(nested):
            raise UserError(f"{name}: {value} mixes lists and numbers; a grid is a list of lists")
        return [list(entry) for entry in value] if any(nested) else [list(value)]
    if not value:
        raise UserError(f"{name}: an empty list; give a value, or a list of values to choose from")
    return list(value)


def edge_warnings(settings: Mapping[str, Any], chosen: Mapping[str, Any]) -> list[str]:
    """A sentence for every numeric grid of three or more values whose best lies on its edge."""
    warnings = []
    for name, value in settings.items():
        grid = _grid(name, value)
        limits = (FLOORS.get(name), CEILINGS.get(name))
        numeric = all(isinstance(entry, int | float) for entry in grid)
        if not numeric or len(set(grid)) < 3 or chosen[name] in limits:
            continue
        if chosen[name] in (min(grid), max(grid)):
            warnings.append(
                f"the best {name}={chosen[name]} lies on the edge of its grid: widen it"
            )
    return warnings

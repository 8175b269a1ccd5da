"""What more layers and more views of the same pass bring, from the runs that are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.report.runs import Run, difference

OTHERWISE = ("vote", "fine_tune", "custom")
"""The types whose runs see no features, or of which two need not be the same head."""

SAME = ("backbone", "type", "root", "pca", "whiten")
"""What runs share that are set beside each other."""

BASE = "last", "identity"


def brought_section(runs: Sequence[Run]) -> dict[str, Any]:
    """Runs of one kind of head on one backbone that differ in their layers and views alone.

    Where a kind of head is there twice on the same features, the better on validation stands for
    it; of several seeds the first.

    Args:
        runs: All runs, by rank.
    """
    seed = min(run["seed"] for run in runs)
    kinds: dict[tuple[Any, ...], dict[tuple[Any, str], Run]] = {}
    for run in runs:
        if run["seed"] == seed and run["type"] not in OTHERWISE:
            kind = tuple(run[name] for name in SAME)
            layers = run["layers"] if isinstance(run["layers"], str) else tuple(run["layers"])
            kinds.setdefault(kind, {}).setdefault((layers, run["view"]), run)
    groups = [_group(seen) for seen in kinds.values() if len(seen) > 1]
    shown = [row["run"]["test"] for group in groups for row in group["rows"]]
    low = min((test["low"] for test in shown), default=0)
    high = max((test["high"] for test in shown), default=1)
    return {
        "brought": groups,
        "brought_scale": {"low": low, "high": high, "width": (high - low) or 1},
    }


def _group(seen: dict[tuple[Any, str], Run]) -> dict[str, Any]:
    """One kind of head, from the fewest features to the most, each against the first."""
    ordered = sorted(seen.values(), key=lambda run: (run["dimensions"], run["view"] != "identity"))
    base = seen.get(BASE, ordered[0])
    ordered.remove(base)
    rows: list[dict[str, Any]] = [{"run": base, "difference": None}]
    rows += [{"run": run, "difference": difference(run, base)} for run in ordered]
    most = max(ordered, key=lambda run: run["validation"]["accuracy"])
    return {"base": base, "rows": rows, "most": most, "over_base": difference(most, base)}

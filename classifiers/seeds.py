"""One head over several seeds: what is the head's, and what is chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def over_seeds(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Puts the runs of each head together.

    Args:
        runs: Metrics as in metrics.json, in any order.

    Returns:
        For each head of a backbone, in the order of their first runs: `backbone`, `head`, `seeds`,
        and of the `validation` and the `test` accuracy the `mean`, the standard `deviation` over
        the seeds (of a sample; None of one seed) and `low` and `high`, Student's 95 % interval of
        the mean (None of one seed). That interval is of seeds, on these very images: how the
        accuracy would differ on other images is what the interval of each run says.
    """
    grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in runs:
        grouped.setdefault((run["backbone"], run["head"]), []).append(run)
    return [
        {
            "backbone": backbone,
            "head": head,
            "seeds": sorted(run["seed"] for run in group),
            **{
                split: _summary([run[split]["accuracy"] for run in group])
                for split in ("validation", "test")
            },
        }
        for (backbone, head), group in grouped.items()
    ]


def _summary(accuracies: Sequence[float]) -> dict[str, float | None]:
    from scipy.stats import t

    mean, several = float(np.mean(accuracies)), len(accuracies) > 1
    if not several:
        return {"mean": mean, "deviation": None, "low": None, "high": None}
    deviation = float(np.std(accuracies, ddof=1))
    half = float(t.ppf(0.975, len(accuracies) - 1)) * deviation / len(accuracies) ** 0.5
    return {
        "mean": mean,
        "deviation": deviation,
        "low": max(0.0, mean - half),
        "high": min(1.0, mean + half),
    }

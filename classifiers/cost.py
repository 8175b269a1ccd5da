"""What accuracy is worth its seconds."""

from __future__ import annotations

from collections.abc import Sequence


def pareto(seconds: Sequence[float], accuracy: Sequence[float]) -> list[bool]:
    """Marks the runs that no other run beats in both seconds and accuracy.

    A run is beaten by one that is at least as fast and at least as accurate, and better in one of
    the two.

    Args:
        seconds: What each run took.
        accuracy: What each run reached.

    Returns:
        Of each run, whether it is on the front.
    """
    runs = list(zip(seconds, accuracy, strict=True))
    return [
        not any(s <= spent and a >= right and (s, a) != (spent, right) for s, a in runs)
        for spent, right in runs
    ]

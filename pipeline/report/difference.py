"""Whether two runs can be told apart on the test images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Difference:
    """The accuracy of one run less that of another, with its 95 % interval, as shares of 1."""

    value: float
    low: float
    high: float
    paired: bool

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def paired(first_right: np.ndarray, second_right: np.ndarray) -> Difference:
    """The difference on the same images, image by image.

    Only the images on which exactly one of the two is right tell them apart, so this is sharper
    than comparing two separate intervals. The interval is Wald's with half a count added to each of
    the four cells (Agresti and Min 2005, "Simple improved confidence intervals for comparing
    matched proportions", Statistics in Medicine 24).

    Args:
        first_right: Where the first run is right, bool (images,).
        second_right: The same of the second run.
    """
    images = len(first_right)
    only_first = int(np.sum(first_right & ~second_right))
    only_second = int(np.sum(second_right & ~first_right))
    gap, padded = only_first - only_second, images + 2
    half = NORMAL_95 * math.sqrt(only_first + only_second + 1 - gap**2 / padded) / padded
    return Difference(gap / images, gap / padded - half, gap / padded + half, paired=True)


def unpaired(first: dict[str, Any], second: dict[str, Any]) -> Difference:
    """The difference from the two accuracies and their Wilson intervals alone.

    Newcombe 1998, "Interval estimation for the difference between independent proportions",
    Statistics in Medicine 17, method 10. On the same images it is wider than it need be.

    Args:
        first: `accuracy`, `low` and `high` of the first run.
        second: The same of the second run.
    """
    gap = first["accuracy"] - second["accuracy"]
    below = math.hypot(first["accuracy"] - first["low"], second["high"] - second["accuracy"])
    above = math.hypot(first["high"] - first["accuracy"], second["accuracy"] - second["low"])
    return Difference(gap, gap - below, gap + above, paired=False)

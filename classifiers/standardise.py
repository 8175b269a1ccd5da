"""Standardisation, with the statistics of the rows that a head is fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler


def standardiser(values: np.ndarray) -> StandardScaler:
    """Brings each column to mean 0 and variance 1.

    A column that is constant in these rows becomes 0 whatever it holds in others, so that it
    decides nothing.

    Args:
        values: float32 (n, features).

    Returns:
        A fitted scaler.
    """
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(values)
    scaler.scale_[values.min(axis=0) == values.max(axis=0)] = np.inf
    return scaler

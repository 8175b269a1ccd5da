"""Ridge regression on the classes coded as -1 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def make(*, alpha: float, seed: int) -> Pipeline:
    """Least squares with an l2 penalty; the larger `alpha`, the stronger the penalty.

    Its solution is unique, so the seed decides nothing.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeClassifier(alpha=alpha))

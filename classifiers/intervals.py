"""95 % intervals: Wilson's for a share of images, the bootstrap's for all that is no share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

NORMAL_95 = 1.959963984540054
RESAMPLES = 1000
SEED = 0
"""Of the resampling, so that equal predictions have equal intervals."""


def wilson(correct: float, images: float) -> tuple[float, float]:
    """The 95 % interval of an accuracy, or of any other share of independent images.

    Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference.
    Journal of the American Statistical Association 22, 209-212.

    Args:
        correct: How many predictions are right; over several seeds their mean, perhaps no whole
            number.
        images: Of how many. Of none nothing is known: the interval is 0 to 1.
    """
    if images == 0:
        return 0.0, 1.0
    share, spread = correct / images, NORMAL_95**2 / images
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
    return float(np.clip(middle - half, 0, share)), float(np.clip(middle + half, share, 1))


def f1_interval(hits: int, wrong: int) -> tuple[float, float]:
    """The 95 % interval of one class's F1.

    Of the images that are of the class or taken for it, the share of hits J is a binomial share,
    and F1 = 2 J / (1 + J) grows with it: so Wilson's interval of J, carried over. Unlike the
    bootstrap's it is no point for a class without an error, of which there may be few images.

    Args:
        hits: Images of the class that are taken for it.
        wrong: Images of the class that are not, and images of others that are.
    """
    low, high = wilson(hits, hits + wrong)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def bootstrap(
    labels: np.ndarray, statistics: Callable[[np.ndarray], tuple[float, ...]]
) -> np.ndarray:
    """Statistics of 1,000 test splits drawn from this one with replacement, class by class.

    Class by class (stratified), because that is how test splits are made: their classes' sizes are
    chosen and not drawn; and because a rare class must not be missing from a resample. Efron, B.
    and Tibshirani, R. (1993): An introduction to the bootstrap, chapters 8 and 13.

    Args:
        labels: int64 (images,).
        statistics: From the rows of a resample, int64 (images,), whose labels are always those of
            `labels` sorted, to some figures.

    Returns:
        float64 (resamples, figures).
    """
    return np.array([statistics(rows) for rows in _resamples(labels)])


def _resamples(labels: np.ndarray) -> Iterator[np.ndarray]:
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    starts = (np.cumsum(sizes) - sizes)[labels[order]]
    widths = sizes[labels[order]]
    generator = np.random.default_rng(SEED)
    for _ in range(RESAMPLES):
        yield order[starts + (generator.random(len(labels)) * widths).astype(np.int64)]


def percentile(resampled: np.ndarray) -> tuple[float, float]:
    """The percentile interval of a figure's resamples, (resamples,)."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def pivotal(resampled: np.ndarray, figure: float) -> tuple[float, float]:
    """The basic interval of a figure's resamples, (resamples,), widened to hold the figure.

    For a figure that resampling shifts, as a calibration error, which grows with noise: what lies
    above the figure in the resamples, lies below it in the interval, and the other way round.
    Davison and Hinkley (1997): Bootstrap methods and their application, section 5.2.
    """
    low, high = percentile(resampled)
    return max(0.0, 2 * figure - high), max(figure, 2 * figure - low)

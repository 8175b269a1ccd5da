"""Which heads of a study can be told apart on the test images, and which cannot.

Heads are compared image by image: only the images on which exactly one of two heads is right tell
them apart. One comparison in twenty would find a difference where there is none, so that the pairs
of a study are corrected for their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from classifiers.store import read_json, write_json
from features.errors import UserError

LEVEL = 0.05
"""Two heads are told apart where the corrected p-value is below this."""

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Contestant:
    """A head on a backbone, with all its seeds.

    Attributes:
        name: "backbone.head".
        seeds: Its seeds, ascending.
        validation: Its validation accuracy, the mean over its seeds.
        test: Its test accuracy, the mean over its seeds.
        right: int64 (images,): with how many of its seeds each test image is right.
    """

    name: str
    seeds: tuple[int, ...]
    validation: float
    test: float
    right: np.ndarray


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test, two-sided.

    McNemar, Q. (1947): Note on the sampling error of the difference between correlated proportions
    or percentages. Psychometrika 12, 153-157; exact by the binomial distribution.

    Args:
        only_first: Images on which only the first head is right.
        only_second: Images on which only the second is.

    Returns:
        How probable so large a difference is between heads that are equally good.
    """
    from scipy.stats import binomtest

    both = only_first + only_second
    return float(binomtest(only_first, both).pvalue) if both else 1.0


def over_seeds(first: np.ndarray, second: np.ndarray, seeds: tuple[int, int]) -> float:
    """The same test where the heads have several seeds.

    An image is one observation, however many seeds have seen it: pooling the seeds' images would
    count it several times, and find differences that are none. So each image counts by the
    difference of its two shares of right seeds, and under the hypothesis that the heads are equally
    good each difference may as well have the other sign. The distribution of their sum is exact: a
    sum of one binomial variable for each size of difference, whose distributions are convolved.
    With one seed each it is McNemar's exact test. Fisher, R. A. (1935): The design of experiments,
    section 21; Noreen, E. W. (1989): Computer-intensive methods for testing hypotheses, chapter 2.

    The seeds are taken as they are: what it says is of these fits on other images, not of other
    fits.

    Args:
        first: int64 (images,): with how many of its seeds the first head is right.
        second: The same of the second head.
        seeds: How many seeds each of the two has.

    Returns:
        As `mcnemar`, to an absolute error of about 1e-12.
    """
    differences = first * seeds[1] - second * seeds[0]
    divisor = int(np.gcd.reduce(differences)) or 1
    differences = differences // divisor
    counts = np.bincount(np.abs(differences))
    if len(counts) <= 2:
        return mcnemar(int((differences > 0).sum()), int((differences < 0).sum()))
    return _sign_flips(counts, abs(int(differences.sum())))


def _sign_flips(counts: np.ndarray, observed: int) -> float:
    """The probability that differences of random signs sum to as much as observed, or more.

    Args:
        counts: int64: how many differences are of each size, from 0 on.
        observed: The observed sum, without its sign.
    """
    from scipy.signal import fftconvolve
    from scipy.stats import binom

    total = np.ones(1)
    for size, count in enumerate(counts[1:], start=1):
        if count:
            # How much of this size is positive, in steps of the size.
            spread = np.zeros(size * count + 1)
            spread[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
            total = fftconvolve(total, spread)
    # The sum of all is twice what is positive less the whole.
    sums = 2 * np.arange(len(total)) - (len(total) - 1)
    return float(np.clip(total[np.abs(sums) >= observed].sum(), 0, 1))


def holm(values: Sequence[float]) -> list[float]:
    """P-values corrected for their number.

    Holm, S. (1979): A simple sequentially rejective multiple test procedure. Scandinavian Journal
    of Statistics 6, 65-70. In all tests together the probability of a false difference stays below
    the level, however they depend on each other.

    Args:
        values: The p-values.

    Returns:
        The corrected ones, in the same order.
    """
    order = np.argsort(values, kind="stable")
    left = np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(np.array(values)[order] * left), 1)
    return [float(value) for value in corrected]


def compare_runs(metrics: Sequence[Path], output: Path) -> None:
    """Compares all heads of a study with each other on its test images.

    Reads the predictions.npz beside each metrics.json and writes a JSON file with `images`,
    `level`; `heads`, ranked by validation (the mean over the seeds), each with `name`, `seeds`,
    `validation` and `test` accuracy and `told_from_best`; `pairs`, each with `first` and `second`
    (the better ranked first), `difference` of their test accuracies, the images on which
    `only_first` or `only_second` is right (the mean over the seeds), `p` and `p_holm`; and `words`,
    sentences that say what it means.

    Args:
        metrics: The runs' metrics.json files.
        output: The JSON file.

    Raises:
        UserError: A run's predictions are missing, or not of the same images as the others'.
    """
    heads = read_contestants(metrics)
    pairs = [_pair(one, other) for one, other in combinations(heads, 2)]
    for pair, corrected in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_holm"] = corrected
    apart = {pair["second"]: pair for pair in pairs if pair["first"] == heads[0].name}
    write_json(
        output,
        {
            "images": len(heads[0].right),
            "level": LEVEL,
            "heads": [
                {
                    "name": head.name,
                    "seeds": list(head.seeds),
                    "validation": head.validation,
                    "test": head.test,
                    "told_from_best": head.name in apart and apart[head.name]["p_holm"] < LEVEL,
                }
                for head in heads
            ],
            "pairs": pairs,
            "words": words(heads, pairs),
        },
    )


def read_contestants(metrics: Sequence[Path]) -> list[Contestant]:
    """The heads of a study with their seeds together, the most accurate on validation first.

    Raises:
        UserError: As in `compare_runs`.
    """
    grouped: dict[str, list[tuple[dict[str, Any], np.ndarray]]] = {}
    first: tuple[Path, np.ndarray, np.ndarray] | None = None
    sizes: dict[str, int] = {}
    for path in metrics:
        run = read_json(path)
        ids, labels, predicted = read_predictions(path.with_name("predictions.npz"))
        first = first or (path, ids, labels)
        if not (np.array_equal(ids, first[1]) and np.array_equal(labels, first[2])):
            raise UserError(
                f"{path.parent} and {first[0].parent} were evaluated on different test images, so "
                "that they cannot be compared image by image; evaluate both again"
            )
        name = f"{run['backbone']}.{run['head']}"
        sizes[name] = run["dimensions"]
        grouped.setdefault(name, []).append((run, predicted == labels))
    heads = [_contestant(name, runs) for name, runs in grouped.items()]
    return sorted(heads, key=lambda head: (-head.validation, sizes[head.name], head.name))


def _contestant(name: str, runs: Sequence[tuple[dict[str, Any], np.ndarray]]) -> Contestant:
    right = np.sum([right for _, right in runs], axis=0)
    return Contestant(
        name=name,
        seeds=tuple(sorted(run["seed"] for run, _ in runs)),
        validation=float(np.mean([run["validation"]["accuracy"] for run, _ in runs])),
        test=float(right.mean() / len(runs)),
        right=right,
    )


def read_predictions(
    path: Path, names: Sequence[str] = ("ids", "labels", "predicted")
) -> tuple[np.ndarray, ...]:
    """What a run said of the test images.

    Args:
        path: Its predictions.npz.
        names: What to read, as `classifiers.evaluate.evaluate_head` names the arrays.

    Raises:
        UserError: The file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as kept:
            return tuple(kept[name] for name in names)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f"{path}: missing or damaged; delete it and run again") from error


def _pair(first: Contestant, second: Contestant) -> dict[str, Any]:
    """The comparison of two heads, apart from the correction."""
    seeds = len(first.seeds), len(second.seeds)
    shares = first.right / seeds[0], second.right / seeds[1]
    return {
        "first": first.name,
        "second": second.name,
        "difference": first.test - second.test,
        # Of a pair of seeds drawn at random, on the mean.
        "only_first": float((shares[0] * (1 - shares[1])).sum()),
        "only_second": float((shares[1] * (1 - shares[0])).sum()),
        "p": over_seeds(first.right, second.right, seeds),
    }


def words(heads: Sequence[Contestant], pairs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the comparison means, in sentences.

    Args:
        heads: By rank.
        pairs: All pairs of them, with `p_holm`.
    """
    images = len(heads[0].right)
    if len(heads) == 1:
        return ["There is one head, and nothing to compare it with."]
    best = heads[0].name
    apart = {frozenset((p["first"], p["second"])) for p in pairs if p["p_holm"] < LEVEL}
    equal = [head for head in heads[1:] if frozenset((best, head.name)) not in apart]
    better = [h for h in heads[1:] if h not in equal and h.test > heads[0].test]
    names = [head.name for head in equal]
    within = [
        (one, other) for one, other in combinations(names, 2) if frozenset((one, other)) in apart
    ]
    said = []
    if not equal:
        said.append(f"{best} can be told from every other head on {images:,} images.")
    elif not within:
        said.append(
            f"These {_number(len(equal) + 1)} cannot be told apart on {images:,} images: "
            f"{_listed([best, *names])}."
        )
    else:
        said.append(f"On {images:,} images {best} cannot be told from {_listed(names)}.")
        pairs_apart = "; ".join(f"{one} from {other}" for one, other in within)
        said.append(f"Among these, though, can be told apart: {pairs_apart}.")
    if better:
        said.append(
            f"On the test images {_listed([head.name for head in better])} "
            f"{'is' if len(better) == 1 else 'are'} better than {best}, which validation chose: "
            "validation has misjudged that, and the order stays as it was chosen."
        )
    worse = len(heads) - 1 - len(equal) - len(better)
    if worse and (equal or better):
        said.append(
            f"The other {'one is' if worse == 1 else f'{_number(worse)} are'} worse than {best}."
        )
    return said


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else f"{count:,}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

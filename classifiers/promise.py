"""What frozen features say of fine-tuning, before any of it is done."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.data import Features
from classifiers.spec import Choice
from classifiers.store import read_json, write_json

LOG = logging.getLogger("headstart")

ROUNDS = 11
"""Of the fixed point, as in the authors' code."""

TOLERANCE = 1e-3


def log_evidence(X: np.ndarray, labels: np.ndarray) -> float:
    """LogME: how well the classes can be a linear function of features, per image.

    The logarithm of the evidence of Bayesian linear regression on each class as 0 and 1, maximised
    over the precision of the weights (alpha) and of the noise (beta), divided by the images, and
    the mean over the classes. You, K. et al. (2021): LogME: practical assessment of pre-trained
    models for transfer learning. ICML 2021, equation 2 and algorithm 1. Of several backbones on
    the same images, the one with the highest tends to be the best after fine-tuning too (their
    section 5); its value by itself says nothing.

    Args:
        X: float32 (n, dimensions).
        labels: int64 (n,).
    """
    return _greatest(*_sums([X], labels))


def _sums(blocks: Iterable[np.ndarray], labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of features in blocks of rows the Gram matrix, the sums over each class, and its rows."""
    targets = (labels[:, None] == np.unique(labels)).astype(np.float64)
    gram, products, at = np.zeros(()), np.zeros(()), 0
    for block in blocks:
        rows = block.astype(np.float64)
        gram = gram + rows.T @ rows
        products = products + rows.T @ targets[at : at + len(rows)]
        at += len(rows)
    return gram, products, targets.sum(axis=0)


def _greatest(gram: np.ndarray, products: np.ndarray, counts: np.ndarray) -> float:
    """The mean over the classes of the maximal log evidence, per image."""
    n, dimensions = int(counts.sum()), len(gram)
    squares, vectors = np.linalg.eigh(gram)
    kept = squares > squares[-1] * max(n, dimensions) * np.finfo(np.float64).eps
    squares = squares[kept]
    # What of each class lies along each direction of the features.
    along = (vectors[:, kept].T @ products) ** 2 / squares[:, None]
    return float(
        np.mean(
            [
                _evidence(n, dimensions, squares, part, float(count))
                for part, count in zip(along.T, counts, strict=True)
            ]
        )
    )


def _evidence(
    n: int, dimensions: int, squares: np.ndarray, along: np.ndarray, length: float
) -> float:
    """The maximal log evidence of one class, per image; `length` is the square of its targets."""
    alpha = beta = 1.0
    outside = max(length - float(along.sum()), 0.0)
    error = weights = 0.0
    for _ in range(ROUNDS):
        ratio = alpha / beta
        gamma = float((squares / (squares + ratio)).sum())
        weights = float((squares * along / (squares + ratio) ** 2).sum())
        error = float((along / (1 + squares / ratio) ** 2).sum()) + outside
        alpha, beta = gamma / (weights + 1e-12), (n - gamma) / (error + 1e-12)
        if abs(alpha / beta - ratio) <= TOLERANCE * ratio:
            break
    evidence = (
        dimensions * np.log(alpha)
        + n * np.log(beta)
        - np.log(alpha + beta * squares).sum()
        - (dimensions - len(squares)) * np.log(alpha)
        - beta * error
        - alpha * weights
        - n * np.log(2 * np.pi)
    )
    return float(evidence / (2 * n))


def write_promise(features: Sequence[Path], output: Path) -> None:
    """Writes the LogME of each backbone's last layer, and of all its stages joined, as JSON.

    The training split alone is read.

    Args:
        features: The features files, of the same images.
        output: The file: `backbones`, a list with `features`, `last` and `all`, the highest `last`
            first, and `hint`, a sentence or two.

    Raises:
        UserError: A file is missing or damaged.
    """
    found: list[dict[str, Any]] = []
    for path in features:
        with Features(path) as opened:
            blocks = opened.blocks("train", Choice("all"))
            gram, products, counts = _sums(blocks, opened.labels("train"))
            # The last layer is the last of all, so that its sums are among theirs.
            last = slice(-opened.shape("train", Choice("last"))[1], None)
        found.append(
            {
                "features": path.stem,
                "last": _greatest(gram[last, last], products[last], counts),
                "all": _greatest(gram, products, counts),
            }
        )
    found.sort(key=lambda one: -float(one["last"]))
    write_json(output, {"backbones": found, "hint": hint(found)})


def hint(found: Sequence[dict[str, Any]]) -> str:
    """What to make of it, in words."""
    said = []
    best = found[0]
    if len(found) > 1:
        said.append(
            f"By LogME {best['features']} is the backbone to train further first "
            f"({best['last']:.3f} an image; the others {', '.join(_figure(o) for o in found[1:])})."
        )
    gains = [one for one in found if one["all"] > one["last"]]
    if gains:
        names = ", ".join(f"{one['features']} ({_gain(one)})" for one in gains)
        said.append(
            "All stages together say more of the classes than the last layer alone, by LogME, of "
            f"{names}. There the last layer does not fit this data well, and training it "
            "further is likely to pay (Evci et al. 2022, Head2Toe); it is a hint, no measurement."
        )
    else:
        said.append(
            "By LogME the last layer says as much of the classes as all stages together: what is "
            "frozen fits this data, and training further may bring little. It is a hint, no "
            "measurement."
        )
    return " ".join(said)


def _figure(one: dict[str, Any]) -> str:
    return f"{one['features']} {one['last']:.3f}"


def _gain(one: dict[str, Any]) -> str:
    return f"{one['last']:.3f} to {one['all']:.3f}"


def log_promise(file: Path) -> None:
    """Says it before training begins."""
    LOG.info(read_json(file)["hint"])

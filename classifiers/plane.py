"""Images on a plane by their features, so that a person can look at what a head sees.

The test split stays closed: this is looked at while something may still be chosen.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from classifiers.data import Features
from classifiers.spec import Choice
from features.errors import UserError

LOG = logging.getLogger("headstart")

IMAGES = 1000
"""So many images are placed at most, drawn at random; more would take long and hide each other."""

COMPONENTS = 50
PERPLEXITY = 30.0
NEIGHBOURS = 5

PER_IMAGE = 3
"""There are at least so many images for each neighbour that the perplexity stands for."""


@dataclass(frozen=True)
class Plane:
    """Images on a plane.

    Attributes:
        ids: The images' names.
        labels: int64 (images,).
        classes: The names of the classes, by label.
        places: float32 (images, 2), each axis from 0 to 1.
        nearest: int64 (images, neighbours): the rows of the nearest images before they were laid
            on the plane, which tears some neighbours apart.
        of: How many images they were drawn from.
        dimensions: Of the features.
        components: How many principal components of them were laid on the plane.
        perplexity: t-SNE's: about so many neighbours of each image are kept near.
    """

    ids: list[str]
    labels: np.ndarray
    classes: list[str]
    places: np.ndarray
    nearest: np.ndarray
    of: int
    dimensions: int
    components: int
    perplexity: float


def on_a_plane(
    features: Path | Sequence[Path], choice: Choice, *, seed: int, limit: int = IMAGES
) -> Plane:
    """Lays training and validation images on a plane, like beside like.

    Standardised features, their first 50 principal components, and of these t-SNE: van der Maaten,
    L. and Hinton, G. (2008): Visualizing data using t-SNE. Journal of Machine Learning Research 9,
    2579-2605. Equal features and seeds give equal places on one machine, however many cores it has.

    Args:
        features: A features file, or several of the same images side by side.
        choice: What is seen of them. Of each view as a row the mean is taken; a projection is left
            to the principal components here.
        seed: Of the draw and of t-SNE.
        limit: How many images at most.

    Raises:
        UserError: A file is missing or damaged, has no such layer, or has fewer than three images.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    choice = replace(choice, view="mean" if choice.view == "rows" else choice.view)
    with Features(features) as opened:
        values, labels, ids, of = _drawn(opened, choice, seed, limit)
        classes, path = opened.classes, opened.path
    if len(labels) < PER_IMAGE:
        raise UserError(f"{path}: {len(labels)} training images are too few to lay on a plane")
    start = time.perf_counter()
    # With more threads sums come out in other orders, and t-SNE makes much of the last digit.
    with threadpool_limits(1):
        components = min(COMPONENTS, *values.shape)
        reduced = PCA(components, random_state=seed).fit_transform(
            StandardScaler().fit_transform(values)
        )
        perplexity = min(PERPLEXITY, len(labels) / PER_IMAGE)
        if components == 1:
            reduced = np.pad(reduced, ((0, 0), (0, 1)))
        places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
    LOG.info(f"{len(labels):,} images on a plane, {time.perf_counter() - start:.1f} s")
    places -= places.min(axis=0)
    places /= np.maximum(places.max(axis=0), np.finfo(np.float32).tiny)
    return Plane(
        ids=ids,
        labels=labels,
        classes=classes,
        places=places.astype(np.float32),
        nearest=_nearest(reduced),
        of=of,
        dimensions=values.shape[1],
        components=components,
        perplexity=perplexity,
    )


def _drawn(
    opened: Features, choice: Choice, seed: int, limit: int
) -> tuple[np.ndarray, np.ndarray, list[str], int]:
    """Features float32 (images, dimensions) of images drawn at random, their labels and names.

    The features are read block by block, since all of them may not fit in memory.
    """
    splits = [split for split in ("train", "validation") if split in opened.splits]
    labels = np.concatenate([opened.labels(split) for split in splits])
    ids = [name for split in splits for name in opened.ids(split)]
    rows = np.sort(np.random.default_rng(seed).permutation(len(labels))[:limit])
    parts, at = [], 0
    for split in splits:
        for block in opened.blocks(split, choice):
            here = rows[(rows >= at) & (rows < at + len(block))] - at
            parts.append(block[here])
            at += len(block)
    return np.concatenate(parts), labels[rows], [ids[row] for row in rows], len(labels)


def _nearest(values: np.ndarray) -> np.ndarray:
    """The rows of each row's nearest others, int64 (rows, neighbours)."""
    squares = (values**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * values @ values.T
    np.fill_diagonal(distances, np.inf)
    count = min(NEIGHBOURS, len(values) - 1)
    nearest: np.ndarray = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return nearest


def mixed(plane: Plane) -> list[dict[str, object]]:
    """Of which classes the nearest images of each class are.

    Returns:
        Of each class that has an image its `class`, `images`, the share of neighbours of the `same`
        class, and the `other` class that most of the rest are of, with its `share`; None where
        there is no rest.
    """
    beside = plane.labels[plane.nearest]
    found: list[dict[str, object]] = []
    for label, name in enumerate(plane.classes):
        own = plane.labels == label
        if not own.any():
            continue
        counts = np.bincount(beside[own].ravel(), minlength=len(plane.classes))
        total, same = int(counts.sum()), int(counts[label])
        counts[label] = 0
        other = int(counts.argmax())
        found.append(
            {
                "class": name,
                "images": int(own.sum()),
                "same": same / total,
                "other": plane.classes[other] if counts[other] else None,
                "share": int(counts[other]) / total,
            }
        )
    return found

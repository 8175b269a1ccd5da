"""Images that are there twice, or nearly: across splits they make a test split easier than it is.

This is a report on the data. It looks at every split, the test split among them, but at its
pictures only, and nothing is chosen by what it finds.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from classifiers.data import Features
from classifiers.spec import Choice
from classifiers.store import write_json
from features.datasets.file import FORMAT
from features.errors import UserError

LOG = logging.getLogger("headstart")

SPLITS = ("train", "validation", "test")
LISTED = 200
"""So many pairs are listed of each kind; all are counted."""

COMPONENTS = 128
"""Features are compared by so many principal components."""

ROWS_PER_COMPONENT = 4

LEAST = 0.85
"""Below this cosine similarity nothing is called nearly the same."""

SAMPLE = 5000
RARE = 0.999
BLOCK = 512

Rows = dict[str, tuple[np.ndarray, list[str]]]
"""For each split its labels and ids."""


def find_duplicates(dataset: Path, features: Path | None, output: Path) -> None:
    """Lists the images that are there twice, by their bytes and, roughly, by their features.

    Writes a JSON file with `exact` and, where there are features, `near`. Each has `across`, the
    images that are in one split and again in another, of which `in_test` are test images that may
    be trained on; `within`, those that are there again in the same split; `otherwise_labelled`, how
    many of these bear two labels; and `pairs`, the first 200, those across splits first: `first`
    and `second`, each with `split`, `image` and `class`. `near` also says the `threshold`, and the
    `similarity` of each pair.

    Args:
        dataset: The dataset file. Two images in it are the same where all their pixels are, or, of
            images that are files, all the files' bytes.
        features: A features file of that data set.
        output: The JSON file.

    Raises:
        UserError: A file is missing or damaged, or the features are of other images.
    """
    rows, digests, classes = _read(dataset)
    pairs = exact_pairs(digests)
    found: dict[str, Any] = {"exact": _described(rows, classes, pairs, None)}
    if features is not None:
        with Features(features) as file:
            if any(file.ids(split) != ids for split, (_, ids) in rows.items()):
                raise UserError(f"{features}: its images are not those of {dataset}; run again")
            components = _components(file, list(rows))
        labels = np.concatenate([values for values, _ in rows.values()])
        sizes = [len(values) for values, _ in rows.values()]
        threshold, near, similarity = near_pairs(
            components, labels, [sum(sizes[:place]) for place in range(len(sizes))]
        )
        same = {tuple(pair) for pair in pairs.tolist()}
        other = np.array([tuple(pair) not in same for pair in near.tolist()], bool)
        described = _described(rows, classes, near[other], similarity[other])
        found["near"] = {"threshold": threshold, **described}
    for kind, said in (("exact", "the same as"), ("near", "nearly the same as")):
        count = found.get(kind, {}).get("in_test", 0)
        if count:
            LOG.warning(
                f"{count:,} test image{'s are' if count > 1 else ' is'} {said} images to train or "
                f"validate on: what is right there says little. They are listed in {output.name}"
            )
    write_json(output, found)


def _read(dataset: Path) -> tuple[Rows, list[bytes], list[str]]:
    """The rows of a dataset file, what identifies each image in turn, and the classes."""
    rows: Rows = {}
    digests: list[bytes] = []
    try:
        with h5py.File(dataset, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise KeyError("format")
            for split in (split for split in SPLITS if split in file):
                group = file[split]
                labels, ids = group["labels"][()].astype(np.int64), group["ids"].asstr()[()]
                rows[split] = labels, ids.tolist()
                digests.extend(_digests(group))
            return rows, digests, json.loads(file.attrs["classes"])
    except (OSError, KeyError) as error:
        raise UserError(
            f"{dataset} cannot be read as a dataset file of this version. Delete it and run again; "
            "it is made anew."
        ) from error


def _digests(group: h5py.Group) -> Iterator[bytes]:
    """The sha256 of each image's pixels or, where the images are files, of each file."""
    if "sha256" in group:
        yield from (row.tobytes() for row in group["sha256"][()])
        return
    images = group["images"]
    for start in range(0, len(images), BLOCK):
        yield from (hashlib.sha256(image.tobytes()).digest() for image in images[start:][:BLOCK])


def exact_pairs(digests: Sequence[bytes]) -> np.ndarray:
    """Each image that is there before, with the first that equals it, int64 (pairs, 2)."""
    first: dict[bytes, int] = {}
    pairs = [(first.setdefault(digest, row), row) for row, digest in enumerate(digests)]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def near_pairs(
    components: np.ndarray, labels: np.ndarray, starts: Sequence[int]
) -> tuple[float, np.ndarray, np.ndarray]:
    """Each image that is nearly there before, with the one that is most like it.

    How alike is nearly the same, the data says: so alike as only one image in a thousand is to the
    most similar image of another class, which is another image; and 0.85 at least.

    Args:
        components: float32 (images, components), each row of length one, split after split.
        labels: int64 (images,).
        starts: Where each split begins. An image is rather paired with one of an earlier split.

    Returns:
        The threshold, the pairs, int64 (pairs, 2), and their similarity, float32 (pairs,).
    """
    threshold = max(LEAST, _of_other_classes(components, labels))
    pairs: list[tuple[int, int]] = []
    similarity: list[float] = []
    ends = [*starts[1:], len(components)]
    for begin, end in zip(starts, ends, strict=True):
        for start in range(begin, end, BLOCK):
            stop = min(start + BLOCK, end)
            alike = components[start:stop] @ components[:stop].T
            # What is not before an image is none of its candidates.
            alike[:, start:][np.triu_indices(stop - start)] = -1
            for columns in (slice(0, begin), slice(begin, stop)):
                if columns.start == columns.stop:
                    continue
                best = alike[:, columns].argmax(axis=1)
                value = alike[np.arange(stop - start), columns.start + best]
                for row in np.flatnonzero(value >= threshold):
                    pairs.append((columns.start + int(best[row]), start + int(row)))
                    similarity.append(float(value[row]))
                    alike[row] = -1
    return threshold, np.array(pairs, np.int64).reshape(-1, 2), np.array(similarity, np.float32)


def _of_other_classes(components: np.ndarray, labels: np.ndarray) -> float:
    """The similarity that only one image in a thousand has to one of another class."""
    rows = np.random.default_rng(0).permutation(len(labels))[:SAMPLE]
    nearest = []
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        alike = components[block] @ components.T
        alike[labels[block][:, None] == labels] = -1
        nearest.append(alike.max(axis=1))
    return float(np.quantile(np.concatenate(nearest), RARE))


def _components(file: Features, splits: Sequence[str]) -> np.ndarray:
    """The last layer's principal components by the training rows, whitened, each row of length one.

    Whitened, because of two images with grass on them most of the features say grass. Components
    that few rows cannot tell from noise are left out.
    """
    parts = [file.matrix(split, Choice(view=file.views[0])) for split in splits]
    values = np.concatenate(parts) - parts[0].mean(axis=0)
    training = values[: len(parts[0])]
    variances, axes = np.linalg.eigh(training.T @ training)
    count = max(1, min(COMPONENTS, len(training) // ROWS_PER_COMPONENT))
    kept = slice(-count, None)
    floor = variances[-1] * np.finfo(np.float32).eps
    values = values @ (axes[:, kept] / np.sqrt(np.maximum(variances[kept], floor)))
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit: np.ndarray = (values / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return unit


def _described(
    rows: Rows, classes: Sequence[str], pairs: np.ndarray, similarity: np.ndarray | None
) -> dict[str, Any]:
    """Pairs as they stand in the file."""
    split = [name for name, (labels, _) in rows.items() for _ in labels]
    ids = [name for _, names in rows.values() for name in names]
    labels = [int(label) for values, _ in rows.values() for label in values]
    across = [split[one] != split[other] for one, other in pairs]
    # Those across splits first, then by similarity, then as they come.
    alike = np.ones(len(pairs)) if similarity is None else similarity
    order = sorted(range(len(pairs)), key=lambda k: (not across[k], -alike[k], k))
    return {
        "across": sum(across),
        "in_test": sum(split[two] == "test" and split[one] != "test" for one, two in pairs),
        "within": len(pairs) - sum(across),
        "otherwise_labelled": sum(labels[one] != labels[other] for one, other in pairs),
        "pairs": [
            {
                **{
                    place: {"split": split[row], "image": ids[row], "class": classes[labels[row]]}
                    for place, row in zip(("first", "second"), pairs[k].tolist(), strict=True)
                },
                **({} if similarity is None else {"similarity": round(float(alike[k]), 4)}),
            }
            for k in order[:LISTED]
        ],
    }

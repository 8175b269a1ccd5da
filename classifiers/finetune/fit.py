"""From paths to a run's folder: the network trained further, and what it says of validation."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.calibration import tempered, write_validation
from classifiers.data import Features, data_fingerprint
from classifiers.finetune.augment import augmentation
from classifiers.finetune.boundary import boundary_file, decide, say_what_it_saved
from classifiers.finetune.build import build
from classifiers.finetune.predict import predicted
from classifiers.finetune.rows import (
    CachedBoundary,
    LiveImages,
    Rows,
    Source,
    training_and_validation,
)
from classifiers.finetune.settings import DEFAULTS, check
from classifiers.finetune.start import fit_start
from classifiers.finetune.tops import Top
from classifiers.finetune.train import Batch, History, remove_state, train
from classifiers.mount.save import save_whole
from classifiers.selection import Candidate, write_selection
from classifiers.store import write_json
from features.cache import FeatureFile
from features.datasets import open_images
from features.environment import peak_memory, versions
from features.errors import UserError
from features.extract import GRAPH_PIXELS, extract
from features.files import fingerprint
from features.load import loader
from features.spec import specs_of

if TYPE_CHECKING:
    import keras

LOG = logging.getLogger("headstart")

MODEL = "tuned.keras"
PLACEHOLDERS: dict[str, Any] = {"root": False, "pca": None, "whiten": False}
"""What a fresh top has not."""


def fine_tune(
    dataset_file: Path,
    root: Path | None,
    spec: Mapping[str, Any],
    weights: Path | None,
    features: Path,
    directory: Path,
    settings: Mapping[str, Any],
    *,
    graphs: Path,
    validation: float,
    seed: int,
    start: Path | None = None,
    network: Sequence[Any] | None = None,
    engine: str = "auto",
    threads: int | None = None,
    memory: float = math.inf,
    disk: float | None = None,
) -> None:
    """Trains a backbone further with a head on it, and never reads the test split.

    What lies below the first layer that trains is computed once and cached, where no image is
    drawn anew and it pays; else every epoch goes through all of the network. The epoch that is best
    on the validation rows is kept; unlike a head, it is not trained again on these rows too.

    Writes `tuned.keras` (from float32 images at the backbone's size, 0 to 255, to probabilities),
    `fit.json`, `validation.npz` and `selection.csv` as `classifiers.fit.fit_head` does, and
    TensorBoard's curves where that is installed. Killed, it goes on after the last whole epoch.

    Args:
        dataset_file: The data set as `features.datasets.prepare` wrote it.
        root: Where the images are, for a folder of images.
        spec: All that decides the backbone's features; see `features.spec.feature_spec`.
        weights: The local weights file, where the spec names one.
        features: The backbone's features file: the one that `start` was fitted on. Without a start
            it need not be there; a cache of the boundary stands beside it.
        directory: The run's folder.
        settings: As `classifiers.finetune.settings.DEFAULTS`.
        graphs: The folder in which converted graphs are kept.
        validation: The share of the training split to draw for validation, class by class, where
            the data brings no validation split.
        seed: Of that draw, and of all else that is drawn.
        start: The folder of the run whose head it starts from; a fresh top where missing.
        network: The layers of a network to be trained from nothing, in place of a backbone; see
            `classifiers.finetune.scratch.check`.
        engine: What computes the boundary, as in `features.extract.extract`.
        threads: The cores to use on a CPU; all where missing.
        memory: Bytes that images may take in memory; of more, they are read anew each epoch.
        disk: Bytes that the boundary may take on disk; half of what is free where missing.

    Raises:
        UserError: A setting is impossible, the backbone has no such layer, the head is none that
            can be trained, an image changed, memory or disk do not suffice, or nothing came of it.
    """
    import keras

    check(settings)

    _, backbone = specs_of(spec)
    with ExitStack() as stack:
        images = stack.enter_context(open_images(dataset_file, root))
        size = images.common_size() if images.largest() <= GRAPH_PIXELS else None
        top_at = None
        if start is not None:
            head = Path(stack.enter_context(tempfile.TemporaryDirectory())) / start.name
            fit_start(start, features, head, validation, seed)
            top_at = head, features
        whole, top = build(
            backbone, weights, settings, size, len(images.classes), top_at, network, seed
        )
        if list(top.views) != ["identity"] and settings["views"] != DEFAULTS["views"]:
            raise UserError(
                f"views: the head it starts from sees {' and '.join(top.views)} of each image "
                "itself; leave `views` out"
            )
        rows, held = training_and_validation(images, validation, seed)
        # Validation and test images are seen as they are.
        views = list(dict.fromkeys(["identity", *settings["views"], *top.views]))
        fields, cache = boundary_file(spec, features, whole, views)
        count = len(views) * sum(len(images.labels(split)) for split in images.splits)
        boundary = decide(whole, settings, count, np.dtype(backbone.dtype).itemsize, cache, disk)
        LOG.info(boundary["why"])
        source: Source
        if boundary["cached"]:
            assert whole.tail is not None
            extract(
                dataset_file, root, fields, weights, cache, graphs, engine=engine, threads=threads
            )
            with Features(cache) as opened:
                boundary["pass"] = opened.seconds
            file = stack.enter_context(FeatureFile(cache))
            source, model = CachedBoundary(file, whole.keys), whole.tail
        else:
            load = loader(images, backbone, in_graph=size is not None)
            source = LiveImages(images, load, size or backbone.size, memory)
            model = whole.live
        frozen = {id(variable) for variable in whole.frozen}
        key = {
            "spec": spec,
            "settings": settings,
            "network": network,
            "start": top.fitted.get("fingerprint"),
            "began": top.fitted.get("settings"),
            "validation": validation,
            "seed": seed,
            "cached": boundary["cached"],
        }
        history, logits = train(
            model,
            [one for one in model.variables if id(one) not in frozen],
            _batches(source, rows, settings, len(images.classes), seed),
            lambda: predicted(model, source, held, settings["batch_size"]),
            held.labels,
            settings,
            len(rows),
            directory,
            fingerprint(key),
            begun=start is not None,
        )
        say_what_it_saved(boundary, history, whole)
        probabilities = tempered(logits, 1.0)
        write_validation(directory, held.ids, held.labels, probabilities)
        save_whole(keras.Model(whole.resized.inputs, _softmax(whole.resized)), directory / MODEL)
        _write_fit(
            directory,
            settings,
            history,
            (rows, held),
            images.classes,
            top,
            start,
            seed,
            spec,
            boundary,
            network,
            whole.dimensions,
        )
    remove_state(directory)


def _batches(
    source: Source, rows: Rows, settings: Mapping[str, Any], classes: int, seed: int
) -> Callable[[int], Iterator[Batch]]:
    """An epoch's batches, by its number: every image once, in a view drawn for it."""
    draw = augmentation(settings["augmentation"], settings["mixup"], settings["cutmix"])
    one_hot = np.eye(classes, dtype=np.float32)
    names = np.array(settings["views"])

    def batches(epoch: int) -> Iterator[Batch]:
        generator = np.random.default_rng([seed, epoch])
        order = generator.permutation(len(rows))
        views = names[generator.integers(len(names), size=len(rows))]
        for number, at in enumerate(range(0, len(rows), settings["batch_size"])):
            chosen = order[at : at + settings["batch_size"]]
            inputs, targets = source.take(rows, chosen, views[chosen]), one_hot[rows.labels[chosen]]
            if draw:
                (pixels,) = inputs
                drawn, targets = draw(pixels, targets, (seed, epoch, number))
                inputs = [drawn]
            yield inputs, targets

    return batches


def _softmax(model: keras.Model) -> Any:
    import keras

    return keras.layers.Softmax(name="probabilities", dtype="float32")(model.output)


def _write_fit(
    directory: Path,
    settings: Mapping[str, Any],
    history: History,
    rows: tuple[Rows, Rows],
    classes: list[str],
    top: Top,
    start: Path | None,
    seed: int,
    spec: Mapping[str, Any],
    boundary: Mapping[str, Any],
    network: Sequence[Any] | None,
    dimensions: int,
) -> None:
    """Writes what was done, as `classifiers.fit.fit_head` does, and the one row of its search."""
    training, held = rows
    best = history.epochs[history.best - 1] if history.best else history.start
    seconds = sum(epoch["seconds"] for epoch in history.epochs)
    notes = []
    if history.status == "diverged":
        kept = f"after epoch {history.best}" if history.best else "it began with"
        notes.append(
            f"diverged in epoch {len(history.epochs) + 1}: its loss or weights are no finite "
            f"numbers; kept is the network {kept}. Lower learning_rate, or take a schedule with a "
            "warmup"
        )
    if start is not None and not history.best:
        notes.append(
            "no epoch was better on validation than the head it started from, which is kept; try a "
            "lower learning_rate"
        )
    for note in notes:
        LOG.warning(note)
    before = top.fitted.get("seconds", {})
    write_selection(
        directory / "selection.csv",
        [
            Candidate(
                dict(settings), best["val_accuracy"], seconds, history.status, notes, history.best
            )
        ],
    )
    write_json(
        directory / "fit.json",
        {
            "head": MODEL,
            "type": "fine_tune",
            "settings": settings,
            "network": network,
            "spec": spec,
            "probabilities": True,
            "status": history.status,
            "start": start.name if start else None,
            "layers": top.fitted.get("layers", settings["layers"]),
            "view": top.fitted.get("view", "identity"),
            **{name: top.fitted.get(name) or empty for name, empty in PLACEHOLDERS.items()},
            "dimensions": top.fitted.get("dimensions", dimensions),
            "classes": classes,
            "seed": seed,
            "training": {"images": len(training)},
            "validation": {"accuracy": best["val_accuracy"], "images": len(held)},
            # What the head had cost that it starts from is a part of what it costs.
            "seconds": {"search": sum(before.values()), "fit": seconds},
            "peak_memory_bytes": peak_memory(),
            "passes": boundary["pass"],
            "boundary": boundary,
            "epochs": history.epochs,
            "began": history.start,
            "best_epoch": history.best,
            "warnings": notes,
            "versions": versions(),
            "made_by": fingerprint({**spec, "dataset": None}),
            "dataset": data_fingerprint(spec),
            "fingerprint": fingerprint(spec),
        },
    )

"""From paths to a run's folder: the network trained further, and what it says of validation."""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.calibration import tempered, write_validation
from classifiers.finetune import scratch
from classifiers.finetune.augment import augmentation
from classifiers.finetune.freeze import unfreeze
from classifiers.finetune.network import Network, assemble
from classifiers.finetune.rows import (
    CachedBoundary,
    LiveImages,
    Rows,
    Source,
    ahead,
    training_and_validation,
)
from classifiers.finetune.settings import DEFAULTS, check
from classifiers.finetune.start import fit_start
from classifiers.finetune.tops import Top, fresh_top, top_of_run
from classifiers.finetune.train import Batch, History, as_inputs, remove_state, train
from classifiers.selection import Candidate, write_selection
from classifiers.store import write_json
from features.backbones.build import build_backbone
from features.backbones.pooled import layer_names
from features.backbones.spec import BackboneSpec
from features.cache import FeatureFile
from features.cache.layout import SPATIAL
from features.datasets import Images, open_images
from features.engines.graph import fill
from features.environment import versions
from features.errors import UserError
from features.extract import GRAPH_PIXELS, extract
from features.files import disk_errors, fingerprint, whole_file
from features.load import loader
from features.spec import specs_of

if TYPE_CHECKING:
    import keras

LOG = logging.getLogger("headstart")

MODEL = "tuned.keras"
PLACEHOLDERS: dict[str, Any] = {"root": False, "pca": None, "whiten": False}
"""What a fresh top has not."""

DISK_SHARE = 0.5
"""Of what is free, what the boundary may take where nothing else is said."""


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
        whole, top = _whole(
            backbone, weights, settings, size, len(images.classes), top_at, network, seed
        )
        if len(top.views) > 1 and settings["views"] != DEFAULTS["views"]:
            raise UserError(
                f"views: the head it starts from sees {' and '.join(top.views)} of each image "
                "itself; leave `views` out"
            )
        rows, held = training_and_validation(images, validation, seed)
        boundary = _decide(whole, top, settings, images, backbone, features, disk)
        LOG.info(boundary["why"])
        source: Source
        if boundary["cached"]:
            assert whole.tail is not None
            views = settings["views"] if len(top.views) == 1 else top.views
            # Validation and test images are seen as they are.
            wanted = list(dict.fromkeys(["identity", *views]))
            spatial = [layer for _, layer in whole.keys if layer.startswith(SPATIAL)]
            fields = _boundary_spec(spec, backbone, spatial, wanted)
            stem = features.stem.rpartition("-")[0]
            cache = features.with_name(f"{stem}-{fingerprint(fields)[:8]}.h5")
            extract(
                dataset_file, root, fields, weights, cache, graphs, engine=engine, threads=threads
            )
            file = stack.enter_context(FeatureFile(cache))
            boundary["pass"] = {cache.stem: file.record.get("seconds", {}).get("total")}
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
        _pays(boundary, history, whole)
        probabilities = tempered(logits, 1.0)
        write_validation(directory, held.ids, held.labels, probabilities)
        save_model(keras.Model(whole.resized.inputs, _softmax(whole.resized)), directory / MODEL)
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


def _boundary_spec(
    spec: Mapping[str, Any], backbone: BackboneSpec, spatial: Sequence[str], views: Sequence[str]
) -> dict[str, Any]:
    """The spec of the features file that keeps the boundary, beside all that others keep."""
    names = tuple(dict.fromkeys(layer.removeprefix(SPATIAL) for layer in spatial))
    return {**spec, "backbone": asdict(replace(backbone, views=tuple(views), spatial=names))}


def _whole(
    spec: BackboneSpec,
    weights: Path | None,
    settings: Mapping[str, Any],
    size: tuple[int, int] | None,
    classes: int,
    start: tuple[Path, Path] | None,
    network: Sequence[Any] | None,
    seed: int,
) -> tuple[Network, Top]:
    """Builds the network, with those of its layers trainable that are to train."""
    import keras

    policy = "mixed_bfloat16" if settings["precision"] == "fast" else "float32"
    if network is None:
        backbone = build_backbone(spec, weights, policy)
    else:
        keras.utils.set_random_seed(seed)
        backbone = scratch.build(network, spec.size, policy)
    # What building a backbone draws is the backbone's; all after it is the run's.
    keras.utils.set_random_seed(seed)
    if start is not None:
        top = top_of_run(*start)
    else:
        if network is None:
            stages = [name for name in layer_names(backbone, spec) if SPATIAL not in name]
        else:
            stages = [backbone.operations[-1].name]
        layers = _layers(backbone, stages, settings["layers"])
        top = fresh_top(layers, settings["stack"], classes)
    unfreeze(backbone, settings["unfreeze"], settings["batch_norm"])
    return assemble(backbone, spec, top, size), top


def _layers(backbone: keras.Model, stages: Sequence[str], chosen: Any) -> list[str]:
    """The layers that a fresh top sees, as features files name them."""
    if chosen in ("last", "all"):
        return list(stages[-1:] if chosen == "last" else stages)
    ends = {"last": stages[-1], f"{SPATIAL}last": SPATIAL + stages[-1]}
    layers = [ends.get(name, name) for name in chosen]
    known = {operation.name for operation in backbone.operations}
    unknown = [name for name in layers if name.removeprefix(SPATIAL) not in known]
    if unknown:
        raise UserError(
            f"layers: the backbone has no layer {', '.join(unknown)}; allowed: last, all, or any "
            f"of {', '.join(stages)}, each also as {SPATIAL}<name>, unpooled"
        )
    return layers


def _decide(
    whole: Network,
    top: Top,
    settings: Mapping[str, Any],
    images: Images,
    spec: BackboneSpec,
    features: Path,
    disk: float | None,
) -> dict[str, Any]:
    """Whether the frozen part is computed once, and why."""
    cost, epochs = whole.cost, settings["epochs"]
    views = len({"identity", *settings["views"], *top.views})
    count = sum(len(images.labels(split)) for split in images.splits)
    size = whole.values * count * views * np.dtype(spec.dtype).itemsize
    features.parent.mkdir(parents=True, exist_ok=True)
    allowed = disk or DISK_SHARE * shutil.disk_usage(features.parent).free
    drawn = settings["augmentation"] or settings["mixup"] or settings["cutmix"]
    live = "every epoch goes through the live network"
    cached = False
    if not cost.frozen:
        why = f"nothing is frozen below the first layer that trains: {live}"
    elif whole.tail is None:
        why = f"the boundary is no image-like layer, as a features file keeps it: {live}"
    elif drawn:
        why = f"images are drawn anew in every epoch: {live}"
    elif epochs < cost.epochs_to_pay:
        why = (
            f"caching the boundary would pay after {cost.epochs_to_pay} epochs, counting "
            f"operations, and there are {epochs}: {live}"
        )
    elif size > allowed:
        why = (
            f"the boundary of all images would take {size / 1e9:.1f} GB, and {allowed / 1e9:.1f} "
            f"are allowed (`disk`, or else half of what is free): {live}"
        )
    else:
        cached = True
        at = ", ".join(whole.boundary.crossing) or "the pooled layers"
        why = (
            f"what is frozen is computed once, up to {at} ({size / 1e9:.2f} GB): an epoch is "
            f"{cost.speedup:,.1f} times faster, counting operations"
        )
    if whole.branches and cached:
        LOG.info(whole.branches)
    return {
        "layers": list(whole.boundary.crossing),
        "cached": cached,
        "why": why,
        "bytes": size,
        "multiply_adds": asdict(cost),
        "speedup_by_count": cost.speedup,
        "pass": {},
    }


def _pays(boundary: dict[str, Any], history: History, whole: Network) -> None:
    """Says after how many epochs the cache has cost less than it saved."""
    seconds = next(iter(boundary["pass"].values()), None)
    if seconds is None or not history.epochs:
        return
    epoch = float(np.median([one["seconds"] for one in history.epochs]))
    saved = epoch * (whole.cost.speedup - 1)
    boundary["epochs_to_pay"] = math.ceil(seconds / saved)
    pays = boundary["epochs_to_pay"]
    done = len(history.epochs)
    verdict = "it has paid for itself" if pays <= done else "it would pay for itself"
    LOG.info(
        f"the boundary took {seconds:.1f} s, an epoch {epoch:.1f} s; on the live network one would "
        f"take about {epoch + saved:.1f} s, counting operations: {verdict} after {pays} epochs"
    )


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


def predicted(model: keras.Model, source: Source, rows: Rows, batch: int) -> np.ndarray:
    """A network's outputs for rows as they are, float32 (rows, classes)."""
    found = []

    def inputs() -> Iterator[tuple[list[np.ndarray], int]]:
        for at in range(0, len(rows), batch):
            chosen = np.arange(at, min(at + batch, len(rows)))
            taken = source.take(rows, chosen, np.full(len(chosen), "identity"))
            # Filled up, so that nothing is compiled twice.
            yield [fill(one, batch) for one in taken], len(chosen)

    for taken, count in ahead(inputs()):
        found.append(model.predict_on_batch(as_inputs(taken))[:count])
    return np.concatenate(found).astype(np.float32)


def _softmax(model: keras.Model) -> Any:
    import keras

    return keras.layers.Softmax(name="probabilities", dtype="float32")(model.output)


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model of Keras, whole or not at all."""
    with (
        disk_errors(path),
        whole_file(path) as part,
        # Keras wants its own suffix, and within one disk nothing is copied.
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
    ):
        archive = Path(folder) / path.name
        model.save(archive)
        archive.replace(part)


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
            "passes": boundary["pass"],
            "boundary": boundary,
            "epochs": history.epochs,
            "began": history.start,
            "best_epoch": history.best,
            "warnings": notes,
            "versions": versions(),
            "made_by": fingerprint({**spec, "dataset": None}),
            "fingerprint": fingerprint(spec),
        },
    )

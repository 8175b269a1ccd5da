"""A finished run as one model from images to probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from classifiers.mount.heads import scores_in_graph
from classifiers.mount.images import images_seen
from classifiers.mount.runs import Run, read_runs
from classifiers.mount.seen import Stored, average, features_seen
from classifiers.mount.trunks import Trunk, build_trunks
from classifiers.store import load_head
from features.backbones.spec import BackboneSpec

if TYPE_CHECKING:
    import keras


def mount(
    directory: Path,
    features: Path | Sequence[Path],
    *,
    weights: Sequence[Path | None],
    image_size: tuple[int, int] | None,
) -> keras.Model:
    """Makes one model of a finished run: resize, preprocessing, backbones, views, head.

    Its probabilities are those of the run on cached features, rounded as they are stored; of a head
    that gives decision values alone, those at the temperature that fits its validation images best,
    which changes no prediction. It computes in float32, so features of the
    precision "fast" that were computed in bfloat16 are a little off from its own.

    The linear and dense heads can be trained further, and so can the backbones, once their layers
    are made trainable. BatchNormalization is to stay untrainable, for it is that, and nothing else,
    which keeps it from learning the statistics of a batch.

    Args:
        directory: The run's folder: fit.json, the head, and what else `classifiers.fit` left there.
            Of a vote, its members' folders lie beside it.
        features: The features files that the run was fitted on; of a vote, those of all members.
        weights: Of each features file the local weights file, where its spec names one.
        image_size: Height and width of the images; None where they may be of any size, those of one
            batch alike.

    Returns:
        A model from uint8 (batch, height, width, 3) to float32 (batch, classes), which are in the
        order of fit.json's `classes`. A class never seen in training has the probability 0.

    Raises:
        CannotMount: The run is no layers of Keras.
        UserError: It was fitted on other features, the weights are not those of the features, or a
            file is missing or damaged.
    """
    paths = [features] if isinstance(features, Path) else list(features)
    runs = read_runs(directory, paths)
    images, stored = _begun(runs, paths, weights, image_size)
    said = [
        _probabilities(run, stored, f"head_{number}_" if len(runs) > 1 else "head_")
        for number, run in enumerate(runs, start=1)
    ]
    return _finished(images, average(said), image_size)


def mount_features(
    directory: Path,
    features: Sequence[Path],
    *,
    weights: Sequence[Path | None],
    image_size: tuple[int, int] | None,
) -> keras.Model:
    """The same up to what the head sees, for a head that is no layers of Keras.

    Returns:
        A model from uint8 (batch, height, width, 3) to what `classifiers.data.Features.matrix`
        reads of a cache, float32 (batch, dimensions), or of the choice "rows" (batch, views,
        dimensions).

    Raises:
        CannotMount: The head sees views that depend on an image's name.
        UserError: As for `mount`.
    """
    import keras

    (run,) = read_runs(directory, features, with_head=False)
    images, stored = _begun([run], features, weights, image_size)
    # The projection is the head's own.
    bare = replace(run, choice=replace(run.choice, pca=None, whiten=False))
    rows = features_seen(bare, stored, "features_")
    seen = keras.ops.stack(rows, axis=1) if run.choice.view == "rows" else rows[0]
    return _finished(images, seen, image_size)


def _begun(
    runs: Sequence[Run],
    features: Sequence[Path],
    weights: Sequence[Path | None],
    image_size: tuple[int, int] | None,
) -> tuple[keras.KerasTensor, Stored]:
    """The images, and what the cache would hold of them."""
    import keras

    # First, for each backbone that is built begins to count layers' names anew.
    trunks = build_trunks(_layers_wanted(runs), dict(zip(features, weights, strict=True)))
    images = keras.Input((*(image_size or (None, None)), 3), dtype="uint8", name="images")
    return images, _stored(keras.ops.cast(images, "float32"), image_size, trunks)


def _finished(
    images: keras.KerasTensor, outputs: keras.KerasTensor, image_size: tuple[int, int] | None
) -> keras.Model:
    import keras

    whole = keras.Model(images, outputs, name="mounted")
    for layer in whole._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    if image_size is None:
        # XLA, which Keras takes on a GPU, lacks most of the resizes. A file keeps this, and of this
        # optimizer nothing that a load would miss.
        whole.compile("sgd", jit_compile=False)
    return whole


def mount_tuned(model: keras.Model, spec: BackboneSpec) -> keras.Model:
    """A fine-tuned network, with the resize that its images went through before.

    Args:
        model: From images at the backbone's size, float32, to probabilities.
        spec: How images are resized for it.

    Returns:
        A model from uint8 (batch, height, width, 3) of any size to float32 (batch, classes).
    """
    import keras

    images = keras.Input((None, None, 3), dtype="uint8", name="images")
    seen = images_seen(keras.ops.cast(images, "float32"), "identity", None, spec)
    return _finished(images, model(seen), None)


def _layers_wanted(runs: Sequence[Run]) -> dict[Path, list[str]]:
    """All that is seen of each features file."""
    wanted: dict[Path, dict[str, None]] = {}
    for run in runs:
        for path, layers in run.layers.items():
            wanted.setdefault(path, {}).update(dict.fromkeys(layers))
    return {path: list(layers) for path, layers in wanted.items() if layers}


def _stored(
    images: keras.KerasTensor, image_size: tuple[int, int] | None, trunks: dict[Path, Trunk]
) -> Stored:
    """What the cache would hold of the images; each view goes once through each backbone."""
    from keras import tree

    @cache
    def through(path: Path, view: str) -> dict[str, keras.KerasTensor]:
        trunk = trunks[path]
        name = f"resize_{list(trunks).index(path) + 1}"
        seen = images_seen(images, view, image_size, trunk.backbone, name)
        activations = trunk.model(seen)
        return dict(zip(trunk.layers, tree.flatten(activations), strict=True))

    return lambda path, view, layer: through(path, view)[layer]


def _probabilities(run: Run, stored: Stored, name: str) -> keras.KerasTensor:
    """The probabilities that a run gives, float32 (batch, classes of fit.json)."""
    from keras import ops

    head = load_head(run.directory / run.fitted["head"])
    scores = scores_in_graph(head, name)
    said = average([scores(row) for row in features_seen(run, stored, name)])
    classes = len(run.fitted["classes"])
    if not run.fitted["probabilities"]:
        assert run.temperature is not None
        return _spread(_tempered(said, run.temperature, name), head.classes_, classes)
    said = _spread(said, head.classes_, classes)
    if run.temperature is None:
        return said
    # As `classifiers.calibration.logits` has it.
    logits = ops.log(ops.maximum(said, float(np.finfo(np.float32).eps)))
    return _tempered(logits, run.temperature, name)


def _tempered(logits: keras.KerasTensor, temperature: float, name: str) -> keras.KerasTensor:
    """As `classifiers.calibration.tempered`."""
    from keras import layers

    scaled = layers.Rescaling(1 / temperature, name=f"{name}temperature")(logits)
    return layers.Softmax(name=f"{name}probabilities")(scaled)


def _spread(probabilities: keras.KerasTensor, seen: np.ndarray, classes: int) -> keras.KerasTensor:
    """Probabilities with a column for every class, 0 of those never seen."""
    from keras import ops

    if len(seen) == classes:
        return probabilities
    places = np.full(classes, len(seen))
    places[seen] = np.arange(len(seen))
    with_zeros = ops.pad(probabilities, [[0, 0], [0, 1]])
    return ops.take(with_zeros, places.tolist(), axis=-1)

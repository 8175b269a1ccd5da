"""The network of a fine-tuning: its backbone, what of that trains, and its top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.finetune import scratch
from classifiers.finetune.freeze import unfreeze
from classifiers.finetune.network import Network, assemble
from classifiers.finetune.tops import Top, fresh_top, top_of_run
from features.backbones.build import build_backbone
from features.backbones.pooled import layer_names
from features.backbones.spec import BackboneSpec
from features.cache.layout import SPATIAL
from features.errors import UserError

if TYPE_CHECKING:
    import keras


def build(
    spec: BackboneSpec,
    weights: Path | None,
    settings: Mapping[str, Any],
    size: tuple[int, int] | None,
    classes: int,
    start: tuple[Path, Path] | None,
    network: Sequence[Any] | None,
    seed: int,
) -> tuple[Network, Top]:
    """Builds the network, with those of its layers trainable that are to train.

    Args:
        spec: The backbone, or what is done to images before a network that is trained from nothing.
        weights: The local weights file, where the spec names one.
        settings: As `classifiers.finetune.settings.DEFAULTS`.
        size: Height and width of the images as they come; None where they come resized.
        classes: How many there are.
        start: The folder of the head that it starts from, and the features that this was fitted on;
            None for a fresh top.
        network: The layers of a network to be trained from nothing, in place of a backbone.
        seed: Of what is drawn at random.

    Returns:
        The network, and the top that stands on it.

    Raises:
        UserError: The backbone has no such layer, or the weights are not its own.
    """
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

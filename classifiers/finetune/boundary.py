"""The cache of what is frozen: its file, whether it pays, and what it saved."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.finetune.network import Network
from classifiers.finetune.train import History
from features.cache.layout import SPATIAL
from features.files import fingerprint
from features.spec import specs_of

LOG = logging.getLogger("headstart")

DISK_SHARE = 0.5
"""Of what is free, what the boundary may take where nothing else is said."""


def boundary_file(
    spec: Mapping[str, Any], features: Path, whole: Network, views: Sequence[str]
) -> tuple[dict[str, Any], Path]:
    """The spec and the path of the features file that keeps the boundary, beside all others keep.

    Args:
        spec: That of the backbone's features.
        features: Their file.
        whole: The network.
        views: Those that are to be kept.
    """
    _, backbone = specs_of(spec)
    spatial = [layer for _, layer in whole.keys if layer.startswith(SPATIAL)]
    names = tuple(dict.fromkeys(layer.removeprefix(SPATIAL) for layer in spatial))
    kept = replace(backbone, views=tuple(views), spatial=names)
    fields = {**spec, "backbone": asdict(kept)}
    stem = features.stem.rpartition("-")[0]
    return fields, features.with_name(f"{stem}-{fingerprint(fields)[:8]}.h5")


def decide(
    whole: Network,
    settings: Mapping[str, Any],
    count: int,
    itemsize: int,
    cache: Path,
    disk: float | None,
) -> dict[str, Any]:
    """Whether the frozen part is computed once, and why.

    Args:
        whole: The network.
        settings: As `classifiers.finetune.settings.DEFAULTS`.
        count: How many images there are, each view counted.
        itemsize: Bytes of a number as it is kept.
        cache: The file that would be made.
        disk: Bytes that it may take; a share of what is free where missing. What is begun already
            is gone on with.

    Returns:
        What fit.json keeps of it.
    """
    cost, epochs = whole.cost, settings["epochs"]
    size = whole.values * count * itemsize
    cache.parent.mkdir(parents=True, exist_ok=True)
    allowed = disk or DISK_SHARE * shutil.disk_usage(cache.parent).free
    begun = cache.exists() or cache.with_name(cache.name + ".part").exists()
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
    elif size > allowed and not begun:
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


def say_what_it_saved(boundary: dict[str, Any], history: History, whole: Network) -> None:
    """Says, and keeps, after how many epochs the cache has cost less than it saved."""
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

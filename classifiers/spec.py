"""What a head is, before it has seen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HeadSpec:
    """A head: which classifier, on which features, with which settings or grids of settings.

    Attributes:
        type: A key of `classifiers.heads.HEADS`.
        layers: "last", "all" (joined, in the order they are stored), or the layers' names.
        view: A view's name, or "mean" for the mean over all stored views.
        settings: The estimator's settings, complete. A list, where the setting is no list by
            nature, is a grid that is searched on validation.
        search: Of a dense head that is searched by Keras Tuner instead, `method`, `space` and
            `limit`, as `how`, `space` and `limit_s` of `classifiers.network.search.search`.
    """

    type: str
    layers: str | tuple[str, ...]
    view: str
    settings: Mapping[str, Any]
    search: Mapping[str, Any] | None = None

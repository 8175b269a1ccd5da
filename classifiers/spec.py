"""What a head is, before it has seen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """What of the features a head sees.

    Attributes:
        layers: "last", "all" (joined, in the order they are stored), or the layers' names.
        view: A view's name; "mean" for the mean over all stored views; or "rows" for every view as
            a training row of its own, an image's scores being the mean over those of its views.
        root: Takes the root of each value's magnitude and keeps the sign, after the mean over views
            (Perronnin, F., Sanchez, J. and Mensink, T. (2010): Improving the Fisher kernel for
            large-scale image classification. ECCV 2010, section 3.2).
        pca: To so many principal components of the standardised features.
        whiten: Brings the components, all of them without `pca`, to equal variance.
    """

    layers: str | tuple[str, ...] = "last"
    view: str = "identity"
    root: bool = False
    pca: int | None = None
    whiten: bool = False

    @property
    def projects(self) -> bool:
        """Whether the features are projected, by what the rows of a fit say."""
        return self.pca is not None or self.whiten

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Choice:
        """From what was written of it as JSON, whatever else stands there."""
        layers = fields["layers"]
        return cls(
            layers if isinstance(layers, str) else tuple(layers),
            *(fields[name] for name in ("view", "root", "pca", "whiten")),
        )


@dataclass(frozen=True)
class HeadSpec:
    """A head: which classifier, on which features, with which settings or grids of settings.

    Attributes:
        type: A key of `classifiers.heads.HEADS`.
        settings: The estimator's settings, complete. A list, where the setting is no list by
            nature, is a grid that is searched on validation.
        choice: What it sees.
        search: Of a dense head that is searched by Keras Tuner instead, `method`, `space` and
            `limit`, as `how`, `space` and `limit_s` of `classifiers.network.search.search`.
    """

    type: str
    settings: Mapping[str, Any]
    choice: Choice = Choice()
    search: Mapping[str, Any] | None = None

"""The features that a head sees, as one matrix."""

from __future__ import annotations

import numpy as np

from features.cache import FeatureFile
from features.errors import UserError


def matrix(
    features: FeatureFile, split: str, layers: str | tuple[str, ...], view: str
) -> np.ndarray:
    """Joins layers side by side and takes one view, or the mean over all of them.

    Args:
        features: An open features file.
        split: The split to read.
        layers: "last", "all" (all pooled ones, in the order they are stored), or the layers' names.
            One that is kept unpooled, "spatial/" and its name, is flattened.
        view: A view's name, or "mean" for the mean over all stored views.

    Returns:
        float32 (images, dimensions of all the layers).

    Raises:
        UserError: The file has no such layer, view or split, or a value is not finite.
    """
    columns = [
        _layer(features, split, layer, _views(features, view))
        for layer in _layers(features, layers)
    ]
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)


def _layer(features: FeatureFile, split: str, layer: str, views: list[str]) -> np.ndarray:
    """One layer's mean over the views, float32 (images, dimensions)."""
    values = features.array(split, views[0], layer).astype(np.float32)
    for view in views[1:]:
        values += features.array(split, view, layer)
    if len(views) > 1:
        values /= len(views)
    values = values.reshape(len(values), -1)
    if not np.isfinite(values).all():
        raise UserError(
            f"{features.path}: layer {layer!r} of split {split!r} holds values that are not "
            "finite, which no pass writes; delete the file and run again"
        )
    return values


def _layers(features: FeatureFile, layers: str | tuple[str, ...]) -> list[str]:
    if layers == "last":
        return features.layers[-1:]
    if layers == "all":
        return features.layers
    names = [layers] if isinstance(layers, str) else list(layers)
    known = features.layers + features.spatial
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UserError(
            f"{features.path}: no layer {', '.join(map(repr, unknown)) or 'named'}; "
            f"allowed: last, all, or any of {', '.join(known)}"
        )
    return names


def _views(features: FeatureFile, view: str) -> list[str]:
    if view == "mean":
        return features.views
    if view not in features.views:
        raise UserError(
            f"{features.path}: no view {view!r}; allowed: mean, {', '.join(features.views)}"
        )
    return [view]

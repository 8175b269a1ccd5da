"""All that decides a feature's value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from features.backbones.spec import BackboneSpec
from features.datasets.spec import DatasetSpec

EXTRACTOR = 2
"""Raised by a change that alters the features' values, so that no old file passes for a new one."""


def feature_spec(dataset: DatasetSpec, backbone: BackboneSpec) -> dict[str, Any]:
    """The spec of a data set's features by a backbone; its fingerprint names their file."""
    return {"dataset": asdict(dataset), "backbone": asdict(backbone), "extractor": EXTRACTOR}


def specs_of(spec: Mapping[str, Any]) -> tuple[DatasetSpec, BackboneSpec]:
    """The data set and the backbone of a spec, also of one that went through JSON."""
    dataset, backbone = dict(spec["dataset"]), dict(spec["backbone"])
    dataset["limit"] = tuple((split, images) for split, images in dataset["limit"])
    for field in ("size", "views", "spatial"):
        backbone[field] = tuple(backbone[field])
    return DatasetSpec(**dataset), BackboneSpec(**backbone)

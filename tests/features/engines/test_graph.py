"""A graph as Keras builds it."""

from __future__ import annotations

import keras
import pytest

from features.engines.graph import Graph, build

from ..conftest import BACKBONE


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_backbone_computes_as_its_policy_says_and_nothing_after_it_does(policy: str) -> None:
    built = build(Graph(BACKBONE, None, (16, 16), 2), policy)
    convolutions = [
        layer for layer in built.model._flatten_layers() if isinstance(layer, keras.layers.Conv2D)
    ]
    assert convolutions
    assert {layer.compute_dtype for layer in convolutions} == {policy.removeprefix("mixed_")}
    assert {layer.variable_dtype for layer in convolutions} == {"float32"}
    assert {output.dtype for output in built.model.outputs} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"

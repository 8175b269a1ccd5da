"""A rewritten graph gives what the graph gave."""

from __future__ import annotations

import numpy as np
import pytest

ov = pytest.importorskip("openvino")

from openvino import opset15 as opset  # noqa: E402

from features.engines.rewrite import rewrite  # noqa: E402

PADS = {"before": [0, 0, 1, 1], "after": [0, 0, 1, 1]}


def network(
    side: int, *, relu: bool = True, before: list[int] | None = None, value: float = 0.0
) -> ov.Model:
    """An image through a convolution, a padded maximum, and both averaged."""
    rng = np.random.default_rng(0)
    image = opset.parameter((2, 3, side, side), np.float32)
    weights = rng.normal(size=(8, 3, 3, 3)).astype(np.float32)
    wide = opset.convolution(image, opset.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1])
    wide = opset.relu(wide) if relu else wide
    padded = opset.pad(
        wide,
        opset.constant(before or PADS["before"]),
        opset.constant(PADS["after"]),
        "constant",
        opset.constant(np.float32(value)),
    )
    pooled = opset.max_pool(padded, [2, 2], [1, 1], [0, 0], [0, 0], [3, 3]).output(0)
    means = [opset.reduce_mean(layer, opset.constant([2, 3]), False) for layer in (wide, pooled)]
    return ov.Model([means[0], means[1]], [image], "network")


def results(model: ov.Model, side: int) -> list[np.ndarray]:
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    image = np.random.default_rng(1).normal(size=(2, 3, side, side)).astype(np.float32)
    return list(ov.Core().compile_model(model, "CPU", exact)(image).values())


@pytest.mark.parametrize("side", [7, 16, 30, 32, 48])
@pytest.mark.parametrize(
    "options",
    [{}, {"relu": False}, {"value": 1.0}, {"value": -1.0}, {"before": [0, 1, 1, 1]}],
    ids=["padded ReLU", "negative numbers", "ones", "minus ones", "a channel more"],
)
def test_it_gives_the_same(side: int, options: dict[str, float]) -> None:
    before = results(network(side, **options), side)
    after = results(rewrite(network(side, **options)), side)
    for ours, theirs in zip(after, before, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_padding_of_a_relu_is_the_maximums_own() -> None:
    kinds = [node.get_type_name() for node in rewrite(network(16)).get_ordered_ops()]
    assert "Pad" not in kinds


def test_what_is_wide_is_averaged_by_a_convolution_first() -> None:
    kinds = [node.get_type_name() for node in rewrite(network(32)).get_ordered_ops()]
    assert "GroupConvolution" in kinds

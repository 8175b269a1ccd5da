"""Figures as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import words


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, words.NONE),
        (0, "0 s"),
        (0.001, "< 0.01 s"),
        (0.12, "0.12 s"),
        (0.996, "1.0 s"),
        (12.34, "12.3 s"),
        (99.96, "100 s"),
        (599.6, "10 min 0 s"),
        (665.2, "11 min 5 s"),
        (3599.7, "1 h 0 min"),
        (7505, "2 h 5 min"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    assert plain(words.seconds(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (312, "312 B"),
        (4_120_000, "4.1 MB"),
        (153_600_000, "154 MB"),
        (999_600, "1.0 MB"),
        (25_000_000_000, "25 GB"),
        (2_500_000_000_000, "2,500 GB"),
    ],
)
def test_size(value: float, text: str) -> None:
    assert plain(words.size(value)) == text


def test_accuracy_and_its_interval() -> None:
    assert plain(words.percent(0.7634)) == "76.3 %"
    assert plain(words.interval(0.7541, 0.7709)) == "[75.4, 77.1]"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0061, "+0.6"), (-0.0061, words.MINUS + "0.6"), (0.0, "0.0"), (-0.0001, "0.0")],
)
def test_points_carry_their_sign(value: float, text: str) -> None:
    assert words.points(value) == text


def test_settings_read_as_written() -> None:
    chosen = {"layers": [256, 64], "dropout": 0.25, "bias": True, "schedule": None}
    assert plain(words.settings(chosen)) == (
        "bias = yes, dropout = 0.25, layers = 256, 64, schedule = " + words.NONE
    )


def test_what_stands_within_a_setting_reads_as_in_a_study() -> None:
    chosen = {"stack": [{"dense": 32, "l2": 0.001}, "relu"], "augmentation": {"zoom": [0.8, 1.0]}}
    assert plain(words.settings(chosen)) == (
        "augmentation = {zoom: [0.8, 1]}, stack = {dense: 32, l2: 0.001}, relu"
    )


@pytest.mark.parametrize(
    ("unfreeze", "text"),
    [
        ("all", "all layers"),
        ("none", "no layer"),
        ({"last": 1}, "the last layer"),
        ({"last": 20}, "the last 20 layers"),
        ({"from": 143}, "layer 143 and all behind it"),
        ({"from": "conv5_block1_1_conv"}, "conv5_block1_1_conv and all layers behind it"),
    ],
)
def test_what_trains_of_a_backbone(unfreeze: object, text: str) -> None:
    assert words.trained(unfreeze) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, words.NONE), (1.304, "1.30"), (0.4, "0.40"), (0.001, "0.001")]
)
def test_no_temperature_reads_as_nothing(value: float | None, text: str) -> None:
    assert words.temperature(value) == text


@given(st.floats(0, 1e9, allow_nan=False))
def test_a_longer_time_never_reads_as_shorter(value: float) -> None:
    def back(text: str) -> float:
        scale = {"s": 1, "min": 60, "h": 3600}
        parts = plain(text).replace("< ", "").replace(",", "").split()
        return sum(
            float(number) * scale[unit]
            for number, unit in zip(parts[::2], parts[1::2], strict=True)
        )

    assert back(words.seconds(value)) == pytest.approx(value, rel=0.06, abs=0.01)


@given(st.recursive(st.integers(), lambda inner: st.dictionaries(st.text(min_size=1), inner)))
def test_no_recorded_value_is_lost(fields: object) -> None:
    def leaves(content: object) -> int:
        if isinstance(content, dict) and content:
            return sum(leaves(inner) for inner in content.values())
        return 1

    if isinstance(fields, dict):
        assert len(list(words.flatten(fields))) == (leaves(fields) if fields else 0)

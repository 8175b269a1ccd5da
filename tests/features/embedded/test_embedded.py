"""What is said of the embedded backbone holds for what is shipped."""

from __future__ import annotations

import json
from pathlib import Path

import features.embedded
from features.backbones.build import EMBEDDED_WEIGHTS
from features.embedded.network import build

CARD = json.loads((Path(features.embedded.__file__).parent / "card.json").read_text())


def test_it_is_small() -> None:
    assert EMBEDDED_WEIGHTS.stat().st_size < 1_500_000
    model = build()
    model.load_weights(EMBEDDED_WEIGHTS)
    assert model.count_params() == CARD["parameters"] < 500_000


def test_its_card_says_what_it_has_seen_and_how_good_it_is() -> None:
    assert CARD["trained_on"]["dataset"] == "cifar10"
    assert CARD["trained_on"]["images"] == 50_000
    assert 0.8 < CARD["test_accuracy"] < 1
    assert all(len(content) == 64 for content in CARD["trained_on"]["contents"])

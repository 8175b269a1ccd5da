"""Digits through the embedded backbone, and heads on them to start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from classifiers.finetune.fit import fine_tune
from classifiers.finetune.settings import DEFAULTS
from classifiers.store import read_json
from features.spec import feature_spec

from ..mount.conftest import EMBEDDED, Data, prepared

Tune = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Images of three digits, and their features in float32."""
    found = prepared(tmp_path_factory.mktemp("tuned") / "three", train=90, test=30, classes=3)
    found.run(EMBEDDED)
    return found


@pytest.fixture
def tune(data: Data, tmp_path: Path) -> Tune:
    """Trains further, and gives what fit.json then says: `tune("name", start, epochs=2)`."""

    def run(
        name: str = "tuned", start: Path | None = None, arguments: Any = None, **settings: Any
    ) -> dict[str, Any]:
        directory = tmp_path / f"Embedded.{name}.0"
        fine_tune(
            data.folder / "data.h5",
            None,
            feature_spec(data.dataset, EMBEDDED),
            None,
            directory=directory,
            settings=DEFAULTS | {"epochs": 2, "batch_size": 16} | settings,
            **{
                "features": data.run(EMBEDDED),
                "graphs": data.folder / "graphs",
                "validation": 0.3,
                "seed": 0,
                "start": start,
                "engine": "tensorflow",
                **(arguments or {}),
            },
        )
        return read_json(directory / "fit.json") | {"directory": directory}

    return run


@pytest.fixture
def small(tune: Tune) -> Tune:
    """The same of a small network that is trained from nothing, where any network does."""

    def run(name: str = "tuned", arguments: Any = None, **settings: Any) -> dict[str, Any]:
        network = {"network": [{"conv": 8}, {"pool": 4}]}
        return tune(name, None, network | (arguments or {}), **settings)

    return run

"""A served run: the real command in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from classifiers.export.forms import write_forms
from classifiers.export.run import export_run
from classifiers.spec import Choice

from ..mount.conftest import EMBEDDED, Data, data, folder

__all__ = ["data", "folder"]

SERVE = (sys.executable, "-m", "pipeline.cli", "serve")


@pytest.fixture(scope="session")
def taken(data: Data) -> Path:
    """An exported run, for OpenVINO as well."""
    features = [data.run(EMBEDDED)]
    directory = data.fit(features, "logistic", Choice("all", "mean"))
    to = data.folder / "served"
    write_forms(
        to,
        export_run(directory, features, weights=[None], study="digits & more", to=to),
        ["openvino"],
    )
    return to


@pytest.fixture(scope="session")
def address(taken: Path) -> Iterator[str]:
    """Where it is served."""
    command = [*SERVE, str(taken), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
        assert found
        yield found[0]
        server.terminate()

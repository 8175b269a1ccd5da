"""The pins stand in three places, for pip, uv and conda; they must say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CONSTRAINTS = (ROOT / "constraints.txt").read_text().splitlines()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9_.-]", r, maxsplit=1)[0].lower() for r in requirements}


def test_uv_and_pip_read_the_same_pins() -> None:
    pins = PROJECT["tool"]["uv"]["constraint-dependencies"]
    assert [pin.replace("'", '"') for pin in pins] == [c.replace("'", '"') for c in CONSTRAINTS]


def test_every_dependency_is_pinned_to_one_version_and_no_address() -> None:
    assert all(re.match(r"[a-z0-9._-]+==[\w.+-]+( ;|$)", line) for line in CONSTRAINTS)
    assert not any("://" in line or "@" in line for line in CONSTRAINTS)
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
        *PROJECT["dependency-groups"]["dev"],
    ]
    assert names(wanted) <= names(CONSTRAINTS)


def test_the_conda_environment_has_the_same_versions() -> None:
    environment = yaml.safe_load((ROOT / "environment.yaml").read_text())
    (pip,) = (part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    pinned = {line.split(" ;")[0] for line in CONSTRAINTS}
    assert set(pip) <= pinned
    assert names(pip) == names(PROJECT["project"]["dependencies"]) | {"openvino", "tensorflow-cpu"}

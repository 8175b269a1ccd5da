"""A copy of the project to run the workflow in, and to edit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = (
    "Snakefile",
    "pipeline",
    "features",
    "classifiers",
    "headstart",
    "profiles",
    "studies",
    "environment.yaml",
)

PUBLISHED = (
    "cifar10_inceptionresnetv2",
    "cifar10_resnet50",
    "cifar10_mobilenetv2",
    "cifar10_densenet121",
    "food101_vgg16",
)
"""The studies of published pipelines."""

Call = Callable[..., subprocess.CompletedProcess[str]]


def copy_project(to: Path) -> Path:
    """The project's own files, as a clone has them."""
    to.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, to / part, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy(source, to / part)
    return to


def snakemake(
    project: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs Snakemake in a copy of the project, on its code."""
    variables = os.environ | {"PYTHONPATH": str(project)} | environment
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "4", *arguments],
        cwd=project,
        env=variables,
        capture_output=True,
        text=True,
        timeout=600,
    )


def planned(project: Path, target: str, *options: str) -> dict[str, int]:
    """What Snakemake would run for a target, by its own plan: jobs by rule."""
    result = snakemake(project, target, "--dry-run", *options)
    assert result.returncode == 0, result.stderr
    table = re.search(
        r"Job stats:\njob +count\n[- ]+\n(.*?)\n\n", result.stdout + result.stderr, re.S
    )
    if table is None:
        assert "Nothing to be done" in result.stdout + result.stderr
        return {}
    rows = (line.split() for line in table.group(1).splitlines())
    return {rule: int(count) for rule, count in rows if rule not in (target, "total")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "headstart")

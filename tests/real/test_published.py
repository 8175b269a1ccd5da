"""The published pipelines end to end on a few real images, with random weights.

Their accuracies say nothing; that every step of them runs does. They take some twenty minutes, so
they are run where HEADSTART_LONG is set.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..pipeline.conftest import PUBLISHED

ROOT = Path(__file__).parents[2]
DATA = os.environ.get("HEADSTART_REAL_DATA")

pytestmark = [
    pytest.mark.skipif(not DATA, reason="HEADSTART_REAL_DATA is not set: real images and weights"),
    pytest.mark.skipif(
        "HEADSTART_LONG" not in os.environ,
        reason="HEADSTART_LONG is not set: some twenty minutes",
    ),
]

IMAGES = {"train": 120, "test": 60}


def made_small(name: str, folder: Path) -> dict[str, Any]:
    """A study on few images, with random weights and few epochs; all else as it is."""
    study: dict[str, Any] = yaml.safe_load((ROOT / "studies" / f"{name}.yaml").read_text())
    kept = {k: v for k, v in study["dataset"].items() if k == "validation"}
    path = f"{DATA}/cifar10-jpeg.tar.gz"
    if study["dataset"]["source"] == "folder":
        path = str(unpacked(folder / "images"))
        study["dataset"] = kept | {"source": "folder", "path": path}
    else:
        study["dataset"] = kept | {"source": "folder", "path": path, "limit": IMAGES}
    study["backbones"] = {
        key: (backbone or {}) | {"weights": "random"}
        for key, backbone in study["backbones"].items()
    }
    for tuning in study["fine_tune"].values():
        tuning["epochs"] = 2
        tuning.pop("patience", None)
    for head in study["heads"].values():
        if head.get("epochs", 0) > 3:
            head["epochs"] = 3
        if "search" in head:
            head["search"] = {"method": {"hyperband": {"max_epochs": 3, "factor": 3}}, "limit": 30}
    return study


def unpacked(folder: Path) -> Path:
    """A folder of a few real JPEGs, train/<class>/ and test/<class>/."""
    counts: dict[str, int] = {}
    with tarfile.open(f"{DATA}/cifar10-jpeg.tar.gz") as archive:
        for member in archive:
            if not member.isfile():
                continue
            split, name, file = Path(member.name).parts[-3:]
            wanted = IMAGES.get(split, 0) // 10
            if counts.get(f"{split}/{name}", 0) >= wanted:
                continue
            counts[f"{split}/{name}"] = counts.get(f"{split}/{name}", 0) + 1
            to = folder / split / name / file
            to.parent.mkdir(parents=True, exist_ok=True)
            content = archive.extractfile(member)
            assert content is not None
            to.write_bytes(content.read())
    return folder


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_runs_from_images_to_report(name: str, tmp_path: Path) -> None:
    study = made_small(name, tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / f"{name}.yaml").write_text(yaml.safe_dump(study))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--directory", str(tmp_path)]
    result = subprocess.run(
        [*command, "--snakefile", str(ROOT / "Snakefile"), name], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    results = tmp_path / "results" / name
    heads = {row["head"] for row in csv.DictReader((results / "leaderboard.csv").open())}
    assert heads == {*study["heads"], *study["fine_tune"]}
    page = (results / "report.html").read_text()
    for figure in study["published"].get("accuracy", {}).values():
        assert f"{100 * figure:.4g}" in page
    for key, tuning in study["fine_tune"].items():
        label = tuning.get("backbone", "network")
        fitted = json.loads((results / "runs" / f"{label}.{key}.0" / "fit.json").read_text())
        assert len(fitted["epochs"]) == 2

"""The tutorial's commands, run as they stand, and the site that it is a page of."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from ..pipeline.conftest import copy_project

ROOT = Path(__file__).parents[2]
BASH = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_command_of_the_tutorial_does_what_the_page_says(tmp_path: Path) -> None:
    clone = copy_project(tmp_path / "headstart")
    blocks = BASH.findall((ROOT / "docs" / "tutorial.md").read_text())
    assert len(blocks) >= 8
    # The packages are there already, in the environment that runs the tests.
    script = "set -euo pipefail\n" + "\n".join(blocks)
    script = re.sub(r"uv run (--extra \w+ )?", "", script).replace("8765", "18765")
    script = script.replace("--cores 4", "--cores 2").replace("kill %1", "kill $!")
    bin = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": os.pathsep.join([bin, os.environ["PATH"]]),
        "PYTHONPATH": str(clone),
    }
    result = subprocess.run(
        ["bash", "-c", script], cwd=clone, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    served = json.loads(result.stdout.splitlines()[-1])
    assert served["top"][0]["class"] == "3"
    results = clone / "results" / "mine"
    for name in ("report.html", "best/model.keras", "best/README.md", "best/model.tflite"):
        assert (results / name).stat().st_size > 0
    heads = {path.name.split(".")[1] for path in (results / "runs").iterdir()}
    assert heads == {"logistic", "logistic_all", "knn", "svm"}
    # One line a file, and a header.
    predictions = (clone / "predictions.csv").read_text().splitlines()
    assert len(predictions) == 1 + sum(1 for _ in (clone / "images").rglob("*.png"))
    again = [line for line in result.stderr.splitlines() if "localrule head" in line]
    assert len(again) == 4


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    for page in ("index.html", "tutorial/index.html", "model/index.html"):
        assert (tmp_path / page).exists()

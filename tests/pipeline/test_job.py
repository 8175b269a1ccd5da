"""What surrounds every job, tried in real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(tmp_path: Path, body: str) -> tuple[subprocess.CompletedProcess[str], str]:
    log = tmp_path / "logs" / "job.log"
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    script = f"from pipeline.job import job\nwith job({str(log)!r}, threads=64):\n{lines}"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return result, log.read_text()


def test_a_mistake_of_the_user_is_told_without_a_traceback(tmp_path: Path) -> None:
    result, log = run(tmp_path, "from features.errors import UserError\nraise UserError('mend it')")
    assert result.returncode == 1
    for text in (result.stderr, log):
        assert "headstart: mend it" in text
        assert "Traceback" not in text


def test_a_mistake_of_ours_leaves_its_traceback_in_the_log(tmp_path: Path) -> None:
    result, log = run(tmp_path, "1 / 0")
    assert result.returncode == 1
    assert "ZeroDivisionError" in log
    assert "Traceback" in log


def test_what_libraries_write_past_python_is_kept_from_the_terminal(tmp_path: Path) -> None:
    body = "import os\nos.write(2, b'oneDNN is on\\n')\nimport sys\nprint('seen', file=sys.stderr)"
    result, log = run(tmp_path, body)
    assert result.stderr == "seen\n"
    assert "oneDNN is on" in log


def test_warnings_stand_in_the_log_only(tmp_path: Path) -> None:
    result, log = run(tmp_path, "import warnings\nwarnings.warn('old way', FutureWarning)")
    assert "old way" in log
    assert result.stderr == ""


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"])
def test_libraries_are_held_to_the_cores_there_are(tmp_path: Path, variable: str) -> None:
    body = f"import os, logging\nlogging.getLogger('headstart').info(os.environ[{variable!r}])"
    _, log = run(tmp_path, body + "\nlogging.getLogger('headstart').info(str(os.cpu_count()))")
    threads, cores = (line.split()[-1] for line in log.splitlines())
    assert threads == cores

"""What every job of the workflow has around it."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from features.errors import UserError
from pipeline.links import LINKS


@contextmanager
def job(log: str, threads: int = 1) -> Iterator[None]:
    """Sends a job's messages to its log and to the terminal, and ends it on a user's mistake.

    Args:
        log: The log file.
        threads: The cores that the job may use; numerical libraries are held to those there are.
    """
    _limit_threads(min(threads, os.cpu_count() or 1))
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    _keep_native_messages_in(path)
    logger = logging.getLogger("headstart")
    logger.setLevel(logging.DEBUG)
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.INFO)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers = [file, terminal]
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(file)
    warnings.simplefilter("default")
    try:
        yield
    except UserError as error:
        logger.error(f"\nheadstart: {error}\n")
        sys.exit(1)
    except Exception:
        logger.exception("the job failed")
        sys.exit(1)


def _keep_native_messages_in(log: Path) -> None:
    """Leaves the terminal to Python: what libraries write past it, as TensorFlow does, is noise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with log.open("a") as file:
        os.dup2(file.fileno(), 2)


def run_jobs_from(project: str | os.PathLike[str]) -> None:
    """Lets every job run the code of this checkout, whatever is installed."""
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(project), others]))


def folder_lock() -> FileLock:
    """What one call of Snakemake at a time has of this folder.

    Unlike Snakemake's own lock, which the profile switches off, it ends with its process however
    that ends.
    """
    return FileLock(LINKS / "lock")


def work_alone(lock: FileLock, stop: Callable[[str], Any]) -> None:
    """Takes the folder's lock, or ends the call with a message for the user."""
    LINKS.mkdir(exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        stop(
            "\nheadstart: another snakemake is at work in this folder; wait for it, or stop it. "
            "What it finishes is not done again.\n"
        )


def _limit_threads(threads: int) -> None:
    for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
        os.environ[f"{library}_NUM_THREADS"] = str(threads)

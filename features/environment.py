"""Where a result was made, and with what."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGES = (
    "headstart",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "openvino",
    "numpy",
    "h5py",
    "scikit-learn",
)


def environment() -> dict[str, Any]:
    """Versions, hardware and date, for the record of a result."""
    return {
        "versions": versions(),
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_bytes": _memory(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """The versions of Python and of what decides a result's values, as far as installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def peak_memory() -> int | None:
    """The most bytes that this process, or one that it started and awaited, held in memory so far.

    None where the system does not count them. A process begins with the peak of the one that
    started it, which for a job of the workflow is little.
    """
    try:
        import resource
    except ImportError:
        return None
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(one).ru_maxrss for one in who)
    # In bytes on macOS, in kilobytes elsewhere.
    return peak if sys.platform == "darwin" else peak * 1024


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None

"""The NVIDIA GPUs of this machine, found without loading an engine."""

from __future__ import annotations

import functools
import os
import subprocess


@functools.cache
def gpus() -> tuple[str, ...]:
    """The names by which `CUDA_VISIBLE_DEVICES` knows the GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(name for name in visible.split(",") if name.strip() not in ("", "-1"))
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(listed.stdout.split()) if listed.returncode == 0 else ()


def use_gpu(part: int) -> None:
    """Gives a part of a pass a GPU of its own, before any engine is loaded."""
    found = gpus()
    if len(found) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = found[part % len(found)]

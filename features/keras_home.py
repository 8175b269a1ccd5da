"""Where Keras keeps what it downloads."""

from __future__ import annotations

import os
from pathlib import Path


def keras_home() -> Path:
    """The folder that Keras keeps its downloads in, found as Keras finds it."""
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    exists = home if home.exists() else home.parent
    return home if os.access(exists, os.W_OK) else Path("/tmp/.keras")

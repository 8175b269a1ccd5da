"""The small runs of the mounted models."""

from __future__ import annotations

from ..mount.conftest import built_once, data, folder

__all__ = ["built_once", "data", "folder"]

"""Images to cached features. Knows nothing of classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from features.cache import FeatureFile


def open(path: Path | str) -> FeatureFile:
    """Opens a features file for reading; see `features.cache.FeatureFile`.

    Raises:
        UserError: The file is missing, truncated, foreign, or not what its name says.
    """
    from features.cache import FeatureFile

    return FeatureFile(Path(path))

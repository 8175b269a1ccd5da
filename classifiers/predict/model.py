"""An exported run, ready to predict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.export.folder import Exported, read_exported
from classifiers.predict.engines import Engine, engine

BATCH = 16
BATCH_PIXELS = 2**22
"""Images that are computed together have so many pixels, at most."""


class Model:
    """An exported run.

    Attributes:
        exported: What is known of it.
        classes: The names of the classes, in the order of the probabilities.
    """

    def __init__(self, exported: Exported, engine: Engine) -> None:
        """Takes a form that is loaded already; see `load`."""
        self.exported, self.classes = exported, exported.classes
        self._engine = engine

    def predict(self, images: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """The probability of each class.

        Args:
            images: uint8 RGB, 0 to 255: one image (height, width, 3), several of one size (n,
                height, width, 3), or a list of images of any sizes. Grey ones may be (height,
                width).

        Returns:
            float32 (n, classes), in the order of `classes`.

        Raises:
            ValueError: An image is of another dtype or shape.
        """
        if isinstance(images, np.ndarray) and images.ndim in (2, 3):
            images = [images]
        found = list(self.stream(images))
        return np.stack(found) if found else np.empty((0, len(self.classes)), np.float32)

    def stream(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The same of one image after another, (classes,) each, with few in memory at a time.

        Raises:
            ValueError: As for `predict`.
        """
        waiting: list[np.ndarray] = []
        for number, given in enumerate(images):
            image = checked(given, number)
            if waiting and not self._goes_with(waiting, image):
                yield from self._engine.run(waiting)
                waiting = []
            waiting.append(image)
        if waiting:
            yield from self._engine.run(waiting)

    def _goes_with(self, waiting: Sequence[np.ndarray], image: np.ndarray) -> bool:
        """Whether an image is to be computed together with others."""
        if not self._engine.mixed and image.shape != waiting[0].shape:
            return False
        pixels = sum(one.shape[0] * one.shape[1] for one in (*waiting, image))
        return len(waiting) < BATCH and pixels <= BATCH_PIXELS

    def top(self, probabilities: np.ndarray, count: int) -> list[tuple[str, float]]:
        """The most probable classes of an image, the first first.

        Args:
            probabilities: float32 (classes,).
            count: How many of them.
        """
        order = np.argsort(-probabilities, kind="stable")[:count]
        return [(self.classes[place], float(probabilities[place])) for place in order]


def load(path: str | Path, *, estimator: str | None = None) -> Model:
    """Loads an exported run, without running any code from its files.

    Args:
        path: Its folder (`results/<study>/best`, `results/<study>/runs/<run>`), or a file in it.
        estimator: Where a user's own head is imported from, `package.module:Class`.

    Raises:
        UserError: There is no model, a file is missing or was changed, or another version wrote it.
    """
    folder, exported = read_exported(Path(path).expanduser())
    return Model(exported, engine(folder, exported, estimator=estimator))


def checked(image: Any, number: int) -> np.ndarray:
    """An image as uint8 (height, width, 3).

    Raises:
        ValueError: It is of another dtype or shape.
    """
    found = np.asarray(image)
    if found.ndim == 2:
        found = np.repeat(found[:, :, None], 3, axis=2)
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3 or 0 in found.shape:
        raise ValueError(
            f"image {number} is {found.dtype} of shape {found.shape}; wanted is uint8 RGB, 0 to "
            "255, (height, width, 3)"
        )
    return found

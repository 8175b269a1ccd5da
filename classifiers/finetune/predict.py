"""What a network says of rows as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from classifiers.finetune.rows import Rows, Source, ahead
from classifiers.finetune.train import as_inputs
from features.engines.graph import fill

if TYPE_CHECKING:
    import keras


def predicted(model: keras.Model, source: Source, rows: Rows, batch: int) -> np.ndarray:
    """A network's outputs for rows as they are, float32 (rows, classes)."""
    # What is filled up is computed, too: of few rows as many as there are will do.
    batch = min(batch, len(rows))
    found = []

    def inputs() -> Iterator[tuple[list[np.ndarray], int]]:
        for at in range(0, len(rows), batch):
            chosen = np.arange(at, min(at + batch, len(rows)))
            taken = source.take(rows, chosen, np.full(len(chosen), "identity"))
            # Filled up, so that nothing is compiled twice.
            yield [fill(one, batch) for one in taken], len(chosen)

    for taken, count in ahead(inputs()):
        found.append(model.predict_on_batch(as_inputs(taken))[:count])
    return np.concatenate(found).astype(np.float32)

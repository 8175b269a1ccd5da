"""How much of the features a head may have in memory, and who computes with the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from classifiers.heads import STREAMED
from features.errors import UserError

SHARE = 0.25
"""Of the machine's memory, where no study says it: a fit needs the features more than once."""

SECONDS = 20
"""Within which a scheduler must answer."""


def limit(type: str, said: float, scheduler: str) -> float | None:
    """The bytes that the features of a head may take in memory; None where it just has to try.

    Args:
        type: The head's type.
        said: What the study says, or 0.
        scheduler: The address of a dask.distributed scheduler, or nothing. Heads that can are then
            fitted there, whatever the size.
    """
    if type in STREAMED and scheduler:
        return 0.0
    if said:
        return said
    # Another head would only be refused by a limit that nobody set.
    return SHARE * _physical() if type in STREAMED else None


def images_limit(said: float) -> float:
    """The bytes that images may take in memory while a backbone is trained on them.

    Args:
        said: What the study says, or 0.
    """
    return said or SHARE * _physical()


def _physical() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


@contextmanager
def workers(scheduler: str) -> Iterator[None]:
    """Has dask compute on the workers of a scheduler, where there is an address.

    Raises:
        UserError: dask.distributed is not installed, or nobody answers at the address.
    """
    if not scheduler:
        yield
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError(
            f"scheduler {scheduler}: dask.distributed is not installed; "
            "run `uv sync --extra cluster`"
        ) from error
    try:
        client = Client(scheduler, timeout=SECONDS)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise UserError(
            f"scheduler {scheduler}: nobody answers there within {SECONDS} s ({error}); start one "
            "with `dask scheduler`, and workers in this folder with `dask worker`"
        ) from error
    with client:
        yield

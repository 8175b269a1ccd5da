"""Seconds to fit heads on cached features, against the peers that a user could take instead.

The features are those of CIFAR-10 by MobileNetV2 0.35 at 96 where HEADSTART_REAL_DATA names the
images and the weights, and made ones of the same shape where not. Each kind of head runs in a
process of its own, so that no library's threads or memory are in the way of another's.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context

from table import Row, arguments, show

KINDS = ("heads_linear", "heads_kernel", "heads_dense")


def measured(kind: str, quick: bool) -> list[Row]:
    """The cases of one kind, of its own file beside this one."""
    rows: list[Row] = import_module(kind).measured(quick)
    return rows


def main() -> None:
    """Measures and shows."""
    options = arguments(str(__doc__).splitlines()[0])
    rows: list[Row] = []
    for kind in KINDS:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            rows += alone.submit(measured, kind, options.quick).result()
    show(rows, options.json)


if __name__ == "__main__":
    main()

"""Where a user's own estimator is imported from."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from features.errors import UserError

FOLDERS = ("studies", ".")
"""Where a user's module may lie, seen from the folder in which snakemake is called."""


def parts_of(estimator: str) -> tuple[str, str]:
    """The module and the class of `package.module:Class` or `package.module.Class`.

    Raises:
        UserError: It is neither.
    """
    module, _, name = estimator.replace(":", ".", 1).rpartition(".")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise UserError(f"estimator {estimator!r}: write it as package.module:Class")
    return module, name


def look_in_folders() -> None:
    """Puts the folders of the user's modules on `sys.path`.

    They stay there, behind all else: a user's file replaces no installed module, and can import
    what lies beside it at any time.
    """
    for folder in (str(Path(folder).resolve()) for folder in FOLDERS):
        if folder not in sys.path:
            sys.path.append(folder)


def check_module(estimator: str) -> None:
    """Refuses an estimator whose package is nowhere, without importing it.

    Raises:
        UserError: There is no such package or module.
    """
    top = parts_of(estimator)[0].partition(".")[0]
    look_in_folders()
    if find_spec(top) is None:
        raise UserError(
            f"estimator {estimator}: no module {top!r}; install it, or put its file beside the "
            "study or where you call snakemake"
        )

"""Snakemake's view of the cache: links.

Snakemake deletes the outputs of a job that it starts or that failed. What stands in the cache may
have taken hours, and another checkout may be reading it: so the outputs are links in `.headstart/`,
one beside the other as the files in `cache/` are, and no file of the cache is ever Snakemake's.
"""

from __future__ import annotations

import os
from pathlib import Path

CACHE = Path("cache")
LINKS = Path(".headstart")


def link_of(file: Path) -> Path:
    """The link to a file of the cache."""
    return LINKS / file.relative_to(CACHE)


def file_of(link: Path) -> Path:
    """The file of the cache that a link stands for."""
    return CACHE / link.relative_to(LINKS)


def make_link(link: Path) -> None:
    """Points a link to its file.

    It gets the file's own date: who takes over what another checkout made repeats nothing for it.
    """
    file = file_of(link)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(file, link.parent))
    date = file.stat().st_mtime_ns
    os.utime(link, ns=(date, date), follow_symlinks=False)

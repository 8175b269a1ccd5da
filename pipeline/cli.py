"""The command `headstart`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from features.errors import UserError
from pipeline import cached
from pipeline.links import CACHE


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: In place of the process's own.

    Returns:
        The exit status: 1 where something is wrong.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except UserError as error:
        print(f"headstart: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("headstart", description="Looks after Headstart's files.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    preset = commands.add_parser("preset", help="download a preset of KerasHub into a folder")
    preset.add_argument("name", help="such as dinov2_small, or hf://USER/MODEL")
    preset.add_argument("folder", type=Path, help="what a study names under `weights`")
    preset.set_defaults(run=lambda options: _preset(options.name, options.folder))

    compare_studies = commands.add_parser("compare", help="put the results of studies side by side")
    compare_studies.add_argument(
        "results", nargs="+", type=Path, help="folders such as results/quickstart, two or more"
    )
    compare_studies.set_defaults(run=lambda options: _compare(options.results))

    cache = commands.add_parser("cache", help="list, verify, compare and remove cached files")
    cache.add_argument("--folder", type=Path, default=CACHE, help="the cache (default: ./cache)")
    tasks = cache.add_subparsers(required=True, metavar="TASK")

    listing = tasks.add_parser("list", help="what there is: size, age, and what it is made of")
    listing.set_defaults(run=lambda options: cached.show(options.folder))

    verify = tasks.add_parser("verify", help="read everything and compare it with its checksums")
    verify.add_argument("files", nargs="*", type=Path, help="features files (default: all)")
    verify.set_defaults(run=lambda options: cached.verify(options.folder, options.files))

    compare = tasks.add_parser("compare", help="in which fields two features files differ")
    compare.add_argument("files", nargs=2, type=Path, metavar="FILE")
    compare.set_defaults(run=lambda options: cached.compare(*options.files))

    remove = tasks.add_parser("remove", help="remove files, after asking")
    remove.add_argument("files", nargs="*", type=Path, help="as `list` names them")
    remove.add_argument(
        "--unused", action="store_true", help="all that no study in studies/ asks for"
    )
    remove.add_argument("--yes", action="store_true", help="do not ask")
    remove.set_defaults(
        run=lambda options: cached.remove(
            options.folder, options.files, unused=options.unused, ask=not options.yes
        )
    )
    return parser


def _compare(folders: Sequence[Path]) -> int:
    if len(folders) < 2:
        raise UserError("compare wants two folders of results or more, as results/quickstart")
    from pipeline.compared import compare

    return compare(folders)


def _preset(name: str, folder: Path) -> int:
    if folder.exists():
        raise UserError(f"{folder} is there already")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from features.backbones.hub import fetch_preset

    fetch_preset(name, folder)
    print(f"the preset {name} is in {folder}: in a study, `weights: {folder}`")
    return 0


if __name__ == "__main__":
    sys.exit(main())

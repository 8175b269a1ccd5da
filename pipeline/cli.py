"""The command `headstart`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classifiers.export.folder import FORMS
from classifiers.predict.told import FORMATS
from features.errors import UserError
from pipeline import cached, model
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
    parser = argparse.ArgumentParser(
        "headstart", description="What Headstart does beside its workflow."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_model_commands(commands)
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


def _add_model_commands(commands: Any) -> None:
    predict = commands.add_parser("predict", help="classify images with an exported run")
    predict.add_argument("model", type=Path, help="such as results/flowers/best")
    predict.add_argument("images", nargs="+", type=Path, help="image files, and folders of them")
    predict.add_argument("--top", type=_count, default=1, help="so many classes (default: 1)")
    predict.add_argument("--format", choices=FORMATS, default="table")
    _add_estimator(predict)
    predict.set_defaults(
        run=lambda options: model.predict(
            options.model, options.images, options.top, options.format, options.estimator
        )
    )
    serve = commands.add_parser("serve", help="a page to drop an image on, for this machine alone")
    serve.add_argument("model", type=Path, help="such as results/flowers/best")
    serve.add_argument("--port", type=_port, default=8000, help="default: 8000; 0: any free")
    _add_estimator(serve)
    serve.set_defaults(
        run=lambda options: model.serve(options.model, options.port, options.estimator)
    )
    export = commands.add_parser("export", help="write an exported run in further forms")
    export.add_argument("model", type=Path, help="such as results/flowers/best")
    export.add_argument("--form", nargs="+", choices=tuple(FORMS), required=True)
    export.set_defaults(run=lambda options: model.export(options.model, options.form))


def _add_estimator(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--estimator", help="package.module:Class of the study's own head, if it has one"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from 1 on")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**16:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from 0 to {2**16 - 1}")
    return int(text)


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

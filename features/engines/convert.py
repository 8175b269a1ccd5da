"""Converted graphs, kept beside the cache: made once, in a process whose memory is given back."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from features.backbones.spec import BackboneSpec
from features.engines.graph import Graph, build
from features.errors import UserError
from features.files import canonical_json, disk_errors, file_digest

LOG = logging.getLogger("headstart")

USERS_MISTAKE = 3
"""What the converting process ends with where it printed a message for the user."""

Converted = tuple[Path, dict[str, tuple[int, ...]], dict[str, Any]]
"""The folder of the graph, the shape of its layers, and the facts of its backbone."""


def converted(graph: Graph, graphs: Path) -> Converted:
    """The converted graph, which is made where it is not yet there.

    Args:
        graph: What to convert.
        graphs: The folder in which converted graphs are kept.

    Raises:
        UserError: The weights are not the backbone's, or memory did not do.
    """
    name = graph.backbone.architecture + "-" + graph.fingerprint()[:16]
    folder = graphs / name
    found = _read(folder, graph)
    if found:
        return found
    with disk_errors(folder):
        graphs.mkdir(parents=True, exist_ok=True)
        lock = FileLock(graphs / f".{name}.lock")
    with lock:
        found = _read(folder, graph)
        if found:
            return found
        _convert_elsewhere(graph, folder)
    found = _read(folder, graph)
    assert found
    return found


def _read(folder: Path, graph: Graph) -> Converted | None:
    try:
        described = json.loads((folder / "graph.json").read_text())
        damaged = damaged_files(folder)
    except (OSError, ValueError, KeyError):
        return None
    if damaged:
        LOG.info(f"{folder} is damaged, and converted anew")
        return None
    weights = graph.imagenet_file
    if (
        weights
        and weights.exists()
        and file_digest(weights) != described["facts"]["imagenet_sha256"]
    ):
        LOG.info(f"{weights} has changed since it was converted")
        return None
    layers = {name: tuple(shape) for name, shape in described["layers"].items()}
    return folder, layers, described["facts"]


def damaged_files(folder: Path) -> list[str]:
    """The names of a converted graph's files that are not as they were written."""
    digests = json.loads((folder / "graph.json").read_text())["sha256"]
    return [
        name
        for name, digest in digests.items()
        if not (folder / name).exists() or file_digest(folder / name) != digest
    ]


def _convert_elsewhere(graph: Graph, folder: Path) -> None:
    LOG.info(f"converting {graph.backbone.architecture} for OpenVINO, once")
    start = time.monotonic()
    part = folder.with_name(folder.name + ".part")
    with disk_errors(folder):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        (part / "request.json").write_text(canonical_json(asdict(graph) | {"weights": None}))
    command = [sys.executable, "-m", "features.engines.convert", str(part)]
    # The code that runs here, wherever the process was started; and Keras' default engine.
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {
        "PYTHONPATH": path,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    weights = [str(graph.weights.absolute())] if graph.weights else []
    child = subprocess.run(
        command + weights, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if child.returncode:
        shutil.rmtree(part, ignore_errors=True)
        if child.returncode == USERS_MISTAKE:
            raise UserError(child.stdout.strip().rpartition("\0")[2])
        raise UserError(
            f"converting {graph.backbone.architecture} for OpenVINO failed with the exit code "
            f"{child.returncode}"
            + (" (killed: perhaps for lack of memory)" if child.returncode == -9 else "")
            + "; its messages are in the log. `engine: tensorflow` needs no conversion"
        )
    with disk_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    LOG.info(f"converted in {time.monotonic() - start:.1f} s")


def convert(graph: Graph, folder: Path) -> None:
    """Builds a graph with Keras and writes it for OpenVINO.

    Args:
        graph: What to convert.
        folder: Gets `model.xml`, `model.bin` and `graph.json`.

    Raises:
        UserError: The weights are not the backbone's, or the disk is full.
    """
    built = build(graph)
    with disk_errors(folder):
        built.model.export(str(folder / "model.xml"), format="openvino", verbose=False)
        described = {
            "layers": built.layers,
            "facts": built.facts,
            "sha256": {name: file_digest(folder / name) for name in ("model.xml", "model.bin")},
        }
        (folder / "graph.json").write_text(json.dumps(described))


def _graph(request: Path, weights: Path | None) -> Graph:
    fields = json.loads(request.read_text())
    for name in ("size", "views", "spatial"):
        fields["backbone"][name] = tuple(fields["backbone"][name])
    fields["image_size"] = tuple(fields["image_size"]) if fields["image_size"] else None
    fields["backbone"] = BackboneSpec(**fields["backbone"])
    return Graph(**fields | {"weights": weights})


if __name__ == "__main__":
    place = Path(sys.argv[1])
    try:
        convert(_graph(place / "request.json", Path(sys.argv[2]) if sys.argv[2:] else None), place)
    except UserError as error:
        print(f"\0{error}")
        sys.exit(USERS_MISTAKE)

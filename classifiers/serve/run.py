"""The server of an exported run, for this machine alone."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from pathlib import Path

from classifiers.predict.model import load
from features.errors import UserError

HOST = "127.0.0.1"
WAITING = 256
"""Requests that may wait at a time; more are told to come again."""


def serve(path: Path, port: int, *, estimator: str | None = None) -> None:
    """Serves an exported run until it is interrupted.

    Args:
        path: The exported run.
        port: Where to listen, on 127.0.0.1; 0 for any that is free.
        estimator: As for `classifiers.predict.model.load`.

    Raises:
        UserError: The extra is not installed, there is no such model, or the port is taken.
    """
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise UserError("a served page wants the extra `serve`: uv sync --extra serve")
    import uvicorn

    from classifiers.serve.app import application

    model = load(path, estimator=estimator)
    listening = _listening(port)
    config = uvicorn.Config(
        application(model), log_level="warning", access_log=False, limit_concurrency=WAITING
    )
    address = f"http://{HOST}:{listening.getsockname()[1]}"
    print(f"{model.exported.study}, {model.exported.run}: {address} (Ctrl+C ends it)", flush=True)
    uvicorn.Server(config).run(sockets=[listening])


def _listening(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
        # Now, for who reads the address may ask at once.
        found.listen(WAITING)
    except OSError as error:
        found.close()
        raise UserError(
            f"port {port} of {HOST} cannot be had ({error.strerror}); choose another by --port"
        ) from error
    return found

"""What a served run answers, and what it refuses."""

from __future__ import annotations

import http.client
import io
import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from classifiers.predict.model import load

from ..mount.conftest import Data
from .conftest import SERVE


def ask(
    address: str, body: bytes | None = None, path: str = "/predict", **headers: str
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    connection.request("GET" if body is None else "POST", path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    kind = answer.headers.get("content-type", "")
    return answer.status, json.loads(text) if "json" in kind else text


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_it_says_what_python_says(address: str, taken: Path, data: Data) -> None:
    model = load(taken)
    for image in data.test[:5]:
        status, said = ask(address, png(image))
        assert status == 200
        wanted = model.top(model.predict(image)[0], 5)
        assert [one["class"] for one in said["top"]] == [name for name, _ in wanted]
        assert [one["p"] for one in said["top"]] == pytest.approx([p for _, p in wanted], abs=1e-6)
        assert (said["height"], said["width"]) == image.shape[:2]


def test_what_is_no_image_or_too_much_of_one(address: str) -> None:
    assert ask(address, b"text") == (422, {"error": "not a JPEG, PNG, BMP, GIF or WebP image"})
    assert ask(address, b"") == (422, {"error": "the file is empty"})
    status, said = ask(address, bytes(21 * 2**20))
    assert (status, said["error"]) == (413, "the file is larger than 20 MiB")
    status, said = ask(address, png(np.zeros((8000, 8000), np.uint8)))
    assert (status, said["error"]) == (422, "8,000 x 8,000 pixels are more than 50,000,000")
    assert ask(address, png(np.zeros((1, 1), np.uint8)))[0] == 200


def test_pages_from_elsewhere_get_nothing(address: str) -> None:
    assert ask(address, png(np.zeros((4, 4), np.uint8)), Host="evil.example")[0] == 400
    assert ask(address, None, "/../../etc/passwd")[0] == 404
    assert ask(address, None, "/predict")[0] == 405


def test_the_page_names_the_run_and_loads_nothing(address: str) -> None:
    status, page = ask(address, None, "/")
    assert status == 200
    assert "<h1>digits &amp; more</h1>" in page
    assert "{{" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_port_that_is_taken(address: str, taken: Path) -> None:
    port = address.rpartition(":")[2]
    command = [*SERVE, str(taken), "--port", port]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith(f"headstart: port {port} of 127.0.0.1 cannot be had")

"""The served page in a real browser."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ...browser import Page, chromium, executable
from ..mount.conftest import Data

pytestmark = pytest.mark.skipif(executable() is None, reason="Chromium is not installed")


def wait_for(page: Page, script: str) -> None:
    deadline = time.monotonic() + 30
    while not page.evaluate(script):
        assert time.monotonic() < deadline, f"{script}; {page.problems}"
        time.sleep(0.05)


def give(page: Page, file: Path) -> None:
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    page.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1600, False)])
def test_an_image_gets_five_bars(
    address: str, data: Data, tmp_path: Path, width: int, dark: bool
) -> None:
    Image.fromarray(data.test[0]).save(tmp_path / "digit.png")
    (tmp_path / "text.jpg").write_text("no image")
    with chromium(tmp_path / "profile") as page:
        page.open(address, width, dark)
        give(page, tmp_path / "digit.png")
        wait_for(page, "document.querySelectorAll('#top li').length === 5")
        widths = page.evaluate(
            "[...document.querySelectorAll('.bar i')].map(b => b.getBoundingClientRect().width)"
        )
        assert np.all(np.diff(widths) <= 0)
        assert widths[0] > 0
        assert page.evaluate("document.getElementById('image').complete")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert not page.problems
        give(page, tmp_path / "text.jpg")
        wait_for(page, "!document.getElementById('error').hidden")
        said = page.evaluate("document.getElementById('error').textContent")
        assert said == "text.jpg: not a JPEG, PNG, BMP, GIF or WebP image"
        assert page.evaluate("document.getElementById('result').hidden")
        # The answer 422 is a line of its own in the browser's console; there is no other.
        assert all("422" in problem for problem in page.problems)
        assert all(url.startswith((address, "blob:", "data:")) for url in page.requests)

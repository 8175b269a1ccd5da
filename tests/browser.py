"""A real browser for tests: headless Chromium, driven by the DevTools protocol over a pipe."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--remote-debugging-pipe", "about:blank"),
)
SECONDS = 60


class Page:
    """One tab. `problems` collects what the console and the page complain about, `requests` the
    addresses that the page asked for."""

    def __init__(self, reading: int, writing: int) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._reading, self._writing = reading, writing
        self._buffer, self._sent, self._session = b"", 0, ""
        self._loaded = False
        target = self.call("Target.getTargets")["targetInfos"][0]["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol and waits for its answer."""
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._sent:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reading], [], [], deadline - time.monotonic())
            assert ready, f"Chromium gave no answer in {SECONDS} s"
            read = os.read(self._reading, 1 << 20)
            assert read, "Chromium ended"
            self._buffer += read
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._notice(message.get("method", ""), message.get("params", {}))
        return message

    def _notice(self, event: str, detail: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Network.requestWillBeSent":
            self.requests.append(detail["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(detail["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and detail["type"] in ("error", "warning"):
            self.problems.append(json.dumps(detail["args"]))
        elif event == "Log.entryAdded" and detail["entry"]["level"] in ("error", "warning"):
            self.problems.append(detail["entry"]["text"])

    def open(self, place: Path | str, width: int, dark: bool = False) -> None:
        """Opens a file or an address in a window so many CSS pixels wide, and waits for charts."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded = False
        url = place if isinstance(place, str) else place.resolve().as_uri()
        self.call("Page.navigate", url=url)
        while not self._loaded:
            self._receive()
        deadline = time.monotonic() + SECONDS
        drawn = "[...document.querySelectorAll('[data-chart]')].every(c => c.querySelector('svg'))"
        while not self.evaluate(drawn):
            assert time.monotonic() < deadline, f"no chart was drawn; {self.problems}"
            time.sleep(0.05)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, script: str) -> None:
        """Clicks in the middle of the element that a JavaScript expression gives."""
        self.evaluate(f"({script}).scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.evaluate(f"({script}).getBoundingClientRect().toJSON()")
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def press(self, key: str) -> None:
        """Presses a key of the keyboard, "Enter", "Tab" or "ArrowDown"."""
        text = {"text": "\r"} if key == "Enter" else {}
        code = {"Enter": 13, "Tab": 9, "ArrowDown": 40}[key]
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)


def executable() -> str | None:
    """Where Chromium is, if it is installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """Starts Chromium with an empty profile.

    Args:
        profile: An empty folder for it.

    Yields:
        Its one tab.
    """
    path = executable()
    assert path, "Chromium is not installed"
    pipes = [*os.pipe(), *os.pipe()]
    # Chromium reads at 3 and writes at 4; the pipes are first moved out of the way of these.
    to_read, writing, reading, to_write = (
        fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in pipes
    )
    for end in pipes:
        os.close(end)

    def hand_over() -> None:
        os.dup2(to_read, 3)
        os.dup2(to_write, 4)

    process = subprocess.Popen(
        [path, f"--user-data-dir={profile}", *FLAGS],
        preexec_fn=hand_over,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(to_write)
    try:
        yield Page(reading, writing)
    finally:
        process.terminate()
        process.wait(SECONDS)
        os.close(reading)
        os.close(writing)

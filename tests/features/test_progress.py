from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

import features.progress as module
from features.progress import progress


def test_the_log_says_how_far_how_fast_and_how_long(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 4.0, 10.0, 12.0, 20.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.DEBUG, logger="headstart"), progress(4000, "the pass") as advance:
        for _ in range(4):
            advance(1000)
    assert [record.getMessage() for record in caplog.records] == [
        "the pass: 2,000/4,000 images, 200 images/s, 00:10 left",
        "the pass: 4,000/4,000 images, 200 images/s, 00:00 left",
    ]


def test_slow_units_are_told_by_the_seconds_each_takes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 30.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.DEBUG, logger="headstart"), progress(4, "s", "epochs") as advance:
        advance(1)
    assert caplog.records[0].getMessage() == "s: 1/4 epochs, 30.0 s each, 01:30 left"


def test_a_terminal_shows_a_bar_with_rate_and_time_left() -> None:
    """Also one that claims to be no column wide, as a fresh pseudo-terminal does."""
    ours, theirs = os.openpty()
    script = """
import time
from features.progress import progress
with progress(100, "the pass") as advance:
    for _ in range(4):
        time.sleep(0.15)
        advance(25)
"""
    subprocess.run([sys.executable, "-c", script], stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "the pass:  50%|" in shown
    assert "50/100 [00:00<00:00" in shown
    assert "images/s]" in shown

"""A served run under load: requests a second, how long they take, and whether its memory grows.

Give it an exported run, such as results/quickstart/best. Images are noise in a hundred sizes from 8
to 500 pixels, as JPEGs, asked for by four clients at once, each on one connection. The server is
`headstart serve` in a process of its own, on the same cores as the clients.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image

REQUESTS = 10_000
CLIENTS = 4
SIZES = 100
LARGEST = 500
PARTS = 10


def images() -> list[bytes]:
    """Noise in many sizes."""
    generator = np.random.default_rng(0)
    found = []
    for height, width in generator.integers(8, LARGEST, (SIZES, 2)):
        file = io.BytesIO()
        pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file, "JPEG")
        found.append(file.getvalue())
    return found


def client(port: int, bodies: list[bytes], count: int) -> list[float]:
    """The seconds of each request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    found = []
    for number in range(count):
        start = time.perf_counter()
        connection.request("POST", "/predict", bodies[number % len(bodies)])
        answer = connection.getresponse()
        said = json.loads(answer.read())
        assert answer.status == 200, said
        found.append(time.perf_counter() - start)
    return found


def resident(process: int) -> float:
    """A process's resident memory, MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measures and shows."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    options = parser.parse_args()
    requests = REQUESTS // 10 if options.quick else REQUESTS
    bodies = images()
    command = [sys.executable, "-m", "pipeline.cli", "serve", str(options.model), "--port", "0"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            found = re.search(r"127\.0\.0\.1:(\d+)", server.stdout.readline())
            assert found
            port = int(found[1])
            client(port, bodies, 1)
            started = time.perf_counter() - start
            memory, seconds, begin = [], [], time.perf_counter()
            with ThreadPoolExecutor(CLIENTS) as pool:
                for _ in range(PARTS):
                    each = [requests // PARTS // CLIENTS] * CLIENTS
                    for one in pool.map(lambda count: client(port, bodies, count), each):
                        seconds += one
                    memory.append(resident(server.pid))
            taken = time.perf_counter() - begin
        finally:
            server.terminate()
    fields = {
        "requests": len(seconds),
        "clients": CLIENTS,
        "requests_per_second": len(seconds) / taken,
        "p50_ms": 1000 * float(np.quantile(seconds, 0.5)),
        "p99_ms": 1000 * float(np.quantile(seconds, 0.99)),
        "first_answer_s": started,
        "resident_mb_by_tenth": memory,
    }
    print(f"\n{os.cpu_count()} cores, {date.today().isoformat()}\n")
    for name, value in fields.items():
        shown = value if isinstance(value, list) else [value]
        print(f"{name:24}", *(f"{number:.5g}" for number in shown))
    if options.json:
        options.json.write_text(json.dumps(fields, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What a served run answers: its page, and the classes of an image that is sent to it."""

from __future__ import annotations

import html
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from classifiers.predict.files import quiet_about_large_images
from classifiers.predict.model import Model
from features.datasets.image import decode

UPLOAD_BYTES = 20 * 2**20
PIXELS = 50_000_000
"""The largest file and the largest image that are taken: a photograph of the largest cameras."""

TOP = 5
PAGE = Path(__file__).with_name("page.html")

HOSTS = ["127.0.0.1", "localhost"]
"""Names that a browser may have called this machine by; any other is a page elsewhere that had its
name point here."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def application(model: Model) -> Starlette:
    """The page at `/`, and at `/predict` the classes of an image that is sent as the body.

    Args:
        model: An exported run.
    """
    page = _page(model)
    # One prediction takes all cores, and a form's own memory is not to be shared.
    one_at_a_time = threading.Lock()

    def classify(data: bytes) -> dict[str, Any]:
        image = decode(data, most_pixels=PIXELS)
        with one_at_a_time:
            (probabilities,) = model.predict(image)
        height, width = image.shape[:2]
        top = [{"class": name, "p": p} for name, p in model.top(probabilities, TOP)]
        return {"top": top, "width": width, "height": height}

    async def index(request: Request) -> Response:
        return HTMLResponse(page)

    async def predict(request: Request) -> Response:
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > UPLOAD_BYTES:
                limit = f"{UPLOAD_BYTES // 2**20} MiB"
                return JSONResponse({"error": f"the file is larger than {limit}"}, 413)
        try:
            return JSONResponse(await run_in_threadpool(classify, bytes(data)))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 422)

    quiet_about_large_images()
    return Starlette(
        routes=[Route("/", index), Route("/predict", predict, methods=["POST"])],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS),
            Middleware(_with_headers),
        ],
    )


def _with_headers(app: Any) -> Callable[..., Awaitable[None]]:
    """Puts `HEADERS` on every answer."""
    extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        await app(scope, receive, send_with_headers)

    return answer


def _page(model: Model) -> str:
    text = PAGE.read_text(encoding="utf-8")
    facts = {
        "study": model.exported.study,
        "run": model.exported.run,
        "classes": f"{len(model.classes):,}",
        "limit": f"{UPLOAD_BYTES // 2**20} MiB",
    }
    for name, value in facts.items():
        text = text.replace(f"{{{{ {name} }}}}", html.escape(value))
    return text

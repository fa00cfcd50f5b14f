"""The page behind the service: its libraries are loaded once requests can be served.

They take longer to load than all that a request needs.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from graph.router import Router

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = structlog.get_logger()

SWITCH_S = 0.001
"""How soon the thread that loads gives way to a request; Python's own is 5 ms."""

AGAIN_S = 1
HEADERS = {
    "retry-after": str(AGAIN_S),
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
}
STARTING = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="{AGAIN_S}">
<meta name="viewport" content="width=device-width"><title>LLM Router is starting</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }}
main {{ margin: 30vh auto 0; max-width: 24rem; padding: 0 1rem; text-align: center }}
</style></head>
<body><main role="status"><h1>Starting</h1>
<p>The page is being loaded and shows itself in a few seconds. The API answers already.</p>
</main></body></html>
"""


class LoadingPage:
    """An ASGI application: the page once it is `loaded`.

    Until then a browser that wants to see it gets one that says so and asks again; everything else
    waits.
    """

    def __init__(self, router: Router, *, write: bool, allow_keys: bool = False) -> None:
        self._router = router
        self._write = write
        self._allow_keys = allow_keys
        self._page: ASGIApp | None = None
        self._settled = asyncio.Event()

    @asynccontextmanager
    async def loaded(self) -> AsyncIterator[None]:
        """Load the page in a thread and serve it; a page that cannot be built is logged, for the
        API goes on without it."""
        began = time.monotonic()
        try:
            page = await asyncio.to_thread(asyncio.run, self._build())
        except Exception:  # whatever is wrong with the page is nothing to the API
            logger.exception("page_failed")
            self._settled.set()
            yield
            return
        gc.freeze()  # as the service does with what it loads
        async with page.router.lifespan_context(page):
            self._page = page
            self._settled.set()
            logger.info("page_loaded", took_s=round(time.monotonic() - began, 1))
            yield

    async def _build(self) -> FastAPI:
        """For a loop of its own: without one Gradio opens several and leaves them open."""
        usual = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            from fastapi import FastAPI

            from ui.page import attach

            _import_for_events()
            bare = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
            return attach(bare, self._router, write=self._write, allow_keys=self._allow_keys)
        finally:
            sys.setswitchinterval(usual)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._page is None and not self._settled.is_set():
            if "text/html" in Headers(scope=scope).get("accept", ""):
                await HTMLResponse(STARTING, 503, HEADERS)(scope, receive, send)
                return
            await self._settled.wait()
        if self._page is None:
            said = "the page could not be loaded: the service's log says why"
            error = {"message": said, "type": "server_error", "param": None, "code": "page_failed"}
            await JSONResponse({"error": error}, 503)(scope, receive, send)
            return
        await self._page(scope, receive, send)


def _import_for_events() -> None:
    """What Gradio imports at the first event of a page, on the event loop: where matplotlib is
    installed, no request moved for seconds then."""
    with suppress(ImportError):
        importlib.import_module("matplotlib").use("agg")
        importlib.import_module("matplotlib.pyplot")

"""Wraps every request of the service: its id, its end at a shutdown, and bugs."""

from __future__ import annotations

import asyncio
import re
import uuid
from functools import partial

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Problem, crashed, speaks_anthropic, stopping
from web.body import LargeBodies

logger = structlog.get_logger()

PREFIXES = ("/v1", "/router", "/health", "/ready", "/metrics", "/openapi.json")
"""The service's own paths; the page handles its own."""


class InFlight:
    """The requests in progress, so that a shutdown can wait for them or report them."""

    def __init__(self) -> None:
        self.closing = False
        self.tasks: dict[asyncio.Task[object], str] = {}

    async def close(self, grace_s: float) -> None:
        """Admit no more requests, wait `grace_s` seconds for those in progress, then cancel
        them."""
        self.closing = True
        if self.tasks:
            await asyncio.wait(set(self.tasks), timeout=grace_s)
        for task in (left := set(self.tasks)):
            task.cancel()
        if left:
            await asyncio.wait(left)


class Boundary:
    """ASGI middleware. A request's id is in `request.state` and in the header `x-request-id`, under
    Anthropic's prefix also in `request-id`. A reply includes `request.state.headers`. A
    duplicate slash in a path is ignored, and HEAD is answered like GET, without the body.

    A bug is logged with its traceback and answered with 500. A request that the server or a
    shutdown cancels is logged and, if nothing was sent yet, answered with 503.
    """

    def __init__(self, app: ASGIApp, in_flight: InFlight) -> None:
        self.app = app
        self.in_flight = in_flight
        self.large = LargeBodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _plain(scope["path"]) if scope["type"] == "http" else ""
        if not path.startswith(PREFIXES):
            await self.app(scope, receive, send)
            return
        # The server itself suppresses the body of a HEAD response.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        scope = {**scope, "path": path, "method": method}
        request_id = uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["may_be_large"] = partial(self.large.enter, request_id)
        state["headers"] = [(b"x-request-id", request_id.encode())]
        if speaks_anthropic(scope["path"]):
            state["headers"].append((b"request-id", request_id.encode()))
        started = False

        async def sender(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = [*message.get("headers", []), *state["headers"]]
                message = {**message, "headers": headers}
            await send(message)

        async def answer(problem: Problem) -> None:
            if not started:
                await problem.response()(scope, receive, sender)

        if self.in_flight.closing:
            await answer(stopping())
            return
        if "\x00" in path or b"%00" in scope["query_string"]:
            await answer(Problem(400, "an address cannot contain a NUL character"))
            return
        task = asyncio.current_task()
        assert task is not None
        self.in_flight.tasks[task] = request_id
        try:
            await self.app(scope, receive, sender)
        except asyncio.CancelledError:
            # The task ends here, so its cancellation need not propagate; uvicorn would print its
            # traceback.
            logger.warning("request_dropped", request=request_id, path=scope["path"])
            await answer(stopping())
        except Exception:
            logger.exception("request_crashed", request=request_id, path=scope["path"])
            if started:
                raise
            await answer(crashed(request_id))
        finally:
            self.in_flight.tasks.pop(task, None)
            self.large.leave(request_id)


def _plain(path: str) -> str:
    """Normalised for the routes: clients join base addresses and paths with an extra slash."""
    path = re.sub("//+", "/", path) if "//" in path else path
    return path.rstrip("/") if len(path) > 1 else path

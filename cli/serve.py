"""Serving: the web chat and the HTTP API in one process."""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import structlog

from config.errors import RouterError, UsageError
from config.models import Environment
from graph.router import Router
from runtime.services import ingest
from web.hosts import LOOPBACK, is_loopback

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = structlog.get_logger()

PORT = 7860
STOP_S = 15
"""How long running requests may take to finish after Ctrl-C or SIGTERM."""


def run(args: argparse.Namespace) -> int:
    import uvicorn

    from web.protocol import BoundedProtocol

    router = Router.from_config(args.config, args.data)
    environment = router.settings.environment
    space = environment.space_id is not None
    host = args.host or ("0.0.0.0" if space else LOOPBACK)  # noqa: S104 - a Space serves openly
    port = PORT if args.port is None else args.port
    if not (space or args.insecure or is_loopback(host)):
        check_guarded(environment, host, ui=not args.no_ui)
    with listen(host, port) as server_socket:
        router.open()  # what cannot be opened is said before anything is served
        app = build(router, write=not space, ui=not args.no_ui, host=host)
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
        print(f"Serving on http://{shown}:{server_socket.getsockname()[1]}", file=sys.stderr)
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=STOP_S,
            lifespan="on",
        )
        server = uvicorn.Server(config)
        gc.collect()
        gc.freeze()  # what is loaded stays for good: the collector need not look at it again
        server.run(sockets=[server_socket])
    return 0 if server.started else 1


def build(router: Router, *, write: bool = True, ui: bool = True, host: str = LOOPBACK) -> FastAPI:
    """The service, and behind it the page, unless `ui` is False, and the first ingest."""
    from api.server import create_app
    from ui.loading import LoadingPage

    page = LoadingPage(router, write=write) if ui else None

    async def behind() -> None:
        """What requests do not need is loaded once they are served."""
        async with page.loaded() if page else nullcontext():
            try:
                await ingest(router.services)
            except Exception:  # a bug there does not end the page
                logger.exception("ingest_crashed")
            await asyncio.Event().wait()

    app = create_app(router, write=write, host=host, behind=behind)
    if page:
        app.mount("/", page)
    return app


def check_guarded(environment: Environment, host: str, *, ui: bool = True) -> None:
    """An address that others can reach needs keys for the API and a login for the page."""
    missing = []
    if not environment.api_keys:
        missing.append("ROUTER_API_KEYS")
    if ui and environment.ui_auth is None:
        missing.append("ROUTER_UI_AUTH")
    if missing:
        raise UsageError(
            f"serving on {host} would open the router to others: set {' and '.join(missing)} "
            "(in the environment or .env), or say --insecure",
            "host",
        )


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; an address that cannot be had is one clear sentence."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port} is not between 0 and 65535", "port")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise RouterError(
            f"cannot serve on {host}:{port}: {error.strerror}; choose another with --host or --port"
        ) from error
    return bound

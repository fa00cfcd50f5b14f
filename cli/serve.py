"""Serves the web chat and the HTTP API, in one process or in several on one port."""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
import sys
from collections.abc import Callable
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING, cast

import structlog

from config.errors import RouterError, UsageError
from config.models import Environment
from graph.router import Router
from runtime.services import ingest
from web.handover import Handed, HandedOn
from web.hosts import LOOPBACK, is_loopback
from web.round_robin import RoundRobin, own_address

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from cli.workers import Place

logger = structlog.get_logger()

PORT = 7860
MOST_WORKERS = 64
BACKLOG = 2048
ACCEPTED = 4
"""Backlog of one of several workers: further connections go to the others."""
OBSERVE_S = 1.0
STOP_S = 15
"""How long running requests may take to finish after Ctrl-C or SIGTERM."""


def run(args: argparse.Namespace) -> int:
    if args.workers is not None and not 1 <= args.workers <= MOST_WORKERS:
        raise UsageError(f"--workers {args.workers} is not between 1 and {MOST_WORKERS}", "workers")
    router = Router.from_config(args.config, args.data)
    environment = router.settings.environment
    host = address(args, environment)
    port = PORT if args.port is None else args.port
    if args.allow_keys:
        check_allows_keys(environment)
    if not (environment.space_id or args.insecure or is_loopback(host)):
        check_guarded(environment, host, ui=not args.no_ui)
    with listen(host, port) as server_socket:
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
        where = f"http://{shown}:{server_socket.getsockname()[1]}"
        if (args.workers or 1) > 1:
            from cli import workers

            return workers.run(args, server_socket, worker, where)
        _be_found(router, server_socket, host, publish=not args.no_ui)
        router.open()  # report what cannot be opened before anything is served
        app = build(
            router,
            write=not environment.space_id,
            ui=not args.no_ui,
            allow_keys=args.allow_keys,
            host=host,
        )
        print(f"Serving on {where}", file=sys.stderr)
        return serve(app, [server_socket], ending=router.pages.leave)


def worker(
    args: argparse.Namespace, server_socket: socket.socket, place: Place, said: Connection
) -> int:
    """Serve as one of several processes; report over the connection once it does."""
    router = Router.from_config(args.config, args.data, share=place.of)
    environment = router.settings.environment
    host, ui = address(args, environment), not args.no_ui
    _be_found(router, server_socket, host, publish=ui and place.has_page)
    router.open()
    app = build(
        router,
        write=not environment.space_id,
        ui=ui,
        allow_keys=args.allow_keys,
        host=host,
        place=place,
    )
    sockets, served = [server_socket], cast("ASGIApp", app)
    if place.has_page:
        sockets.append(place.bind_page())
        served = Handed(app)

    def started() -> None:
        server_socket.listen(BACKLOG)  # asyncio has reduced it to `ACCEPTED`
        said.send(True)

    return serve(served, sockets, started, router.pages.leave, backlog=ACCEPTED)


def _be_found(router: Router, server_socket: socket.socket, host: str, *, publish: bool) -> None:
    """Let other replicas forward to this service what its page is asked."""
    port = server_socket.getsockname()[1]
    if (url := own_address(router.settings.environment, host, port)) is not None:
        router.pages.serve_at(url, publish=publish)


def address(args: argparse.Namespace, environment: Environment) -> str:
    """The address to serve on; a Space serves publicly."""
    return args.host or ("0.0.0.0" if environment.space_id is not None else LOOPBACK)  # noqa: S104


def serve(
    app: ASGIApp,
    sockets: list[socket.socket],
    started: Callable[[], None] = lambda: None,
    ending: Callable[[], None] = lambda: None,
    backlog: int = BACKLOG,
) -> int:
    """Serve until SIGINT or SIGTERM; returns 1 if the application did not start.

    `ending` is called when no more connections are taken, and running requests are waited for."""
    import uvicorn

    from web.protocol import BoundedProtocol

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                started()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            ending()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=STOP_S,
        lifespan="on",
        backlog=backlog,
    )
    server = Server(config)
    gc.collect()
    gc.freeze()  # loaded objects stay for good: the garbage collector need not traverse them again
    server.run(sockets=sockets)
    return 0 if server.started else 1


def build(
    router: Router,
    *,
    write: bool = True,
    ui: bool = True,
    allow_keys: bool = False,
    host: str = LOOPBACK,
    place: Place | None = None,
) -> FastAPI:
    """The service, and in the background the page, unless `ui` is False, and the first ingest.

    Of several workers, the first `place` has the page and ingests.
    """
    from api.server import create_app
    from ui.loading import LoadingPage

    first = place is None or place.has_page
    page = LoadingPage(router, write=write, allow_keys=allow_keys) if ui and first else None
    at_root: ASGIApp | None = page
    if ui and page is None and place is not None:
        at_root = HandedOn.to_worker(place.page)
    shown = None if at_root is None else RoundRobin(at_root, router.pages)

    async def behind() -> None:
        """Loads what requests do not need, once they are being served."""
        async with (
            aclosing(shown) if shown else nullcontext(),
            page.loaded() if page else nullcontext(),
        ):
            try:
                if first:
                    await ingest(router.services)
            except Exception:  # a bug there must not end the page
                logger.exception("ingest_crashed")
            await (observe(router) if place else asyncio.Event().wait())

    several = place is not None
    app = create_app(router, write=write, host=host, behind=behind, warm_first=several)
    if shown is not None:
        app.mount("/", shown)
    return app


async def observe(router: Router) -> None:
    """Let the other workers see this one's state, since any of them may be asked for the
    metrics."""
    while True:
        router.observe_now()
        await asyncio.sleep(OBSERVE_S)


def check_allows_keys(environment: Environment) -> None:
    """Keys are written for people who signed in, and never on a Space, whose page is public."""
    if environment.space_id is not None:
        raise UsageError("--allow-keys is refused on a Space, which anybody can use", "allow_keys")
    if environment.ui_auth is None:
        raise UsageError(
            "--allow-keys is for people who signed in: set ROUTER_UI_AUTH; at this machine the page"
            " takes keys without it",
            "allow_keys",
        )


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
            "(in the environment or .env), or use --insecure",
            "host",
        )


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; raises UsageError in one sentence if that fails."""
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

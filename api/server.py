"""The HTTP service: OpenAI's routes, and those that show what the router does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match

from api.access import Keys, RateLimit
from api.batch_worker import BatchStore, BatchWorker
from api.batches import batch_routes
from api.boundary import Boundary, InFlight
from api.chat import chat_routes
from api.completions import completions_routes
from api.embeddings import embeddings_routes
from api.errors import Problem, RefusedError, invalid, problem_of
from api.files import file_routes
from api.inspect import health_routes, inspect_routes, metrics_routes
from api.listing import listing_routes
from api.messages import messages_routes
from api.openapi import document
from api.responses import responses_routes
from batches.database import BatchDatabase
from config.errors import RouterError
from graph.router import Router
from runtime.reports import VERSION
from web.hosts import LOOPBACK, guard

logger = structlog.get_logger()

GRACE_S = 10.0
"""Additional seconds that a shutdown waits for requests, after the server's own grace period."""

KEEP_ALIVE_S = 15.0
"""With `deliver: complete`, how long a stream may be silent; most proxies allow 30 to 60 s."""

WITHOUT_PREFIX = ("/chat/completions", "/completions", "/embeddings", "/messages", "/models",
                  "/responses", "/api/chat", "/api/generate", "/api/tags",
                  "/api/version")  # fmt: skip
"""Paths requested by clients whose address lacks `/v1`, and by those of another kind of server."""

OWN = ("/v1/", "/router/")

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def create_app(
    router: Router,
    *,
    write: bool = True,
    grace_s: float = GRACE_S,
    keep_alive_s: float = KEEP_ALIVE_S,
    host: str = LOOPBACK,
    behind: Callable[[], Awaitable[None]] | None = None,
    batches: bool = True,
    warm_first: bool = False,
) -> FastAPI:
    """The service over this router, which it starts, warms and closes with its own lifespan.

    Keys are required if ROUTER_API_KEYS is set. On a Space requests are rate-limited. `write=False`
    accepts no feedback and hides other callers' texts. `host` is the address it is served on: on a
    loopback one, foreign host names and pages are refused. `behind` starts once the router is
    ready, and is cancelled at the end. With `warm_first` no connection is taken before the router
    is warm, 5 s at most: others take them meanwhile. With `batches` it also answers what is left of
    `/v1/batches`, from this process or another one over the same database.
    """
    in_flight = InFlight()
    environment = router.settings.environment
    keys = Keys(lambda: router.settings.environment.api_keys)
    store = BatchStore(BatchDatabase(environment.database_url, router.settings.data_dir))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await router.start()
        if warm_first:
            await _warm(router, None)
        warming = asyncio.create_task(_warm(router, behind), name="warm")
        worker = BatchWorker(
            app,
            store,
            concurrency=lambda: router.batch_places,
            lease_s=lambda: router.settings.batch.lease_s,
            most_lines=lambda: router.settings.batch.lines,
            owners=keys.owners,
            metrics=router.services.metrics,
        )
        working = [asyncio.create_task(worker.run(), name="batches")] if batches and write else []
        try:
            yield
        finally:
            warming.cancel()
            worker.stop()
            await asyncio.wait({warming})
            await in_flight.close(grace_s)
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            store.close()
            await router.aclose()

    app = FastAPI(
        title="LLM router",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from other sites
        redoc_url=None,
        openapi_url=None,  # with the other routes, so that they need a key if those do
    )
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    app.add_middleware(Boundary, in_flight=in_flight)
    _add_routes(app, router, keys, store, write=write, keep_alive_s=keep_alive_s)
    _add_errors(app)
    guard(app, router.settings.environment, host)
    return app


def _add_routes(
    app: FastAPI,
    router: Router,
    keys: Keys,
    store: BatchStore,
    *,
    write: bool,
    keep_alive_s: float,
) -> None:
    environment = router.settings.environment
    locked = [] if not keys else [Depends(HTTPBearer(auto_error=False)), Depends(keys.require)]
    limited = [Depends(RateLimit().require)] if environment.space_id is not None else []
    dialects = [
        chat_routes(router, keep_alive_s=keep_alive_s),
        messages_routes(router, keep_alive_s=keep_alive_s),
        responses_routes(router, keep_alive_s=keep_alive_s),
        completions_routes(router, keep_alive_s=keep_alive_s),
        embeddings_routes(router),
    ]
    left = [file_routes(router, store, keys), batch_routes(router, store, keys)]
    inspect = inspect_routes(router, keys, write=write)
    listing, metrics = listing_routes(router), metrics_routes(router)
    for dialect in dialects:
        app.include_router(dialect, dependencies=locked + limited)
    for routes in left:
        taken = [] if write else [Depends(_nothing_is_left)]
        app.include_router(routes, dependencies=locked + limited + taken)
    app.include_router(listing, dependencies=locked)
    app.include_router(inspect, dependencies=locked + limited)
    app.include_router(metrics, dependencies=locked)
    app.include_router(health_routes(router, keys))
    app.add_api_route(
        "/openapi.json",
        lambda: JSONResponse(app.openapi()),
        dependencies=locked,
        include_in_schema=False,
    )
    known = [*dialects, *left, listing, inspect]
    unknown = _unknown_route([route for routes in known for route in routes.routes])
    for path in ("/v1", "/v1/{rest:path}", "/router", "/router/{rest:path}", *WITHOUT_PREFIX):
        app.add_api_route(path, unknown, methods=METHODS, include_in_schema=False)


async def _nothing_is_left() -> None:
    """An open service would show everybody what anybody left."""
    raise RefusedError(Problem(403, "this service keeps no files and no batches"))


def _unknown_route(known: list[BaseRoute]) -> Callable[[Request], Awaitable[Response]]:
    """Any other path under our prefixes, which a page mounted at the root would otherwise
    answer."""

    async def unknown(request: Request) -> Response:
        path = request.url.path[:200]
        here = [r for r in known if r.matches(request.scope)[0] is Match.PARTIAL]
        allowed = ", ".join(sorted({m for r in here for m in getattr(r, "methods", ())}))
        if not allowed:
            hint = "" if path.startswith(OWN) else "; the API's address ends with /v1"
            return Problem(404, f"there is no route {path}{hint}", code="not_found").response()
        message = f"{path} supports {allowed}, not {request.method}"
        headers = {"allow": allowed}
        return Problem(405, message, code="method_not_allowed", headers=headers).response()

    return unknown


def _add_errors(app: FastAPI) -> None:
    """Handlers that answer with OpenAI's error object; the boundary handles bugs."""

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, RouterError)
        return problem_of(error).response()

    async def wrong(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        name = str(first["loc"][-1])
        return invalid(f"`{name}`: {first['msg']}", name, "invalid_value").problem.response()

    async def unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path, method = request.url.path[:200], request.method
        if error.status_code == 404:
            hint = "the API's routes begin with /v1"
            return Problem(404, f"there is no route {path}; {hint}", code="not_found").response()
        message = f"{path} does not support {method}" if error.status_code == 405 else error.detail
        return Problem(error.status_code, message, headers=error.headers or {}).response()

    app.add_exception_handler(HTTPException, unrouted)
    app.add_exception_handler(RouterError, ours)
    app.add_exception_handler(RequestValidationError, wrong)


async def _warm(router: Router, behind: Callable[[], Awaitable[None]] | None) -> None:
    """Load everything the first request would have to load; a failure reduces quality but does not
    prevent the start."""
    try:
        await router.warm()
    except RouterError as error:
        logger.warning("not_warm", error=str(error))
    if behind is not None:
        await behind()

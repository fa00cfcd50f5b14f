"""The service as a Ray Serve application: replicas behind Serve's own proxy, without the page.

    serve run deploy.ray_serve:application
    serve run deploy.ray_serve:application config=/srv/config data=/srv/data replicas=4

Nodes need what a replica needs anywhere: this folder, requirements-ray.txt and
requirements-models.txt, the configuration, its variables in the environment. On more than one node
ROUTER_DATABASE_URL and ROUTER_CHROMA_URL name servers that all of them reach. `docs/deploy.md` says
when plain replicas are better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, PositiveInt
from ray import serve

from cli.ray_cluster import refuse_sqlite
from cli.serve import STOP_S, build, check_guarded
from config.environment import quiet
from config.loader import load
from graph.router import Router
from telemetry.console import configure
from web.hosts import LOOPBACK

if TYPE_CHECKING:
    from ray.serve import Application
    from starlette.types import ASGIApp

EVERYWHERE = "0.0.0.0"  # noqa: S104
AT_ONCE = 2_000
"""Requests that Serve gives a replica: more than the router's own queue has room for, so that the
router decides who waits and answers the others with 429 and Retry-After."""
GRACE_S = 10.0
"""Beyond what running requests may take to finish, for the router to close."""


class Arguments(BaseModel):
    """What stands behind the application's name: `serve run … name=value`."""

    config: str = "config"
    data: str = "data"
    replicas: PositiveInt = 2
    insecure: bool = False
    """Serve without ROUTER_API_KEYS, to loopback names alone."""


@serve.deployment(
    max_ongoing_requests=AT_ONCE,
    graceful_shutdown_timeout_s=STOP_S + GRACE_S,
    ray_actor_options={"num_cpus": 1},
)
@serve.ingress()
class RouterService:
    """One replica."""

    def __init__(self, arguments: Arguments) -> None:
        quiet()
        configure(json=True)
        self._router = Router.from_config(arguments.config, arguments.data)
        self._host = LOOPBACK if arguments.insecure else EVERYWHERE
        self._router.open()  # what cannot be opened is said before anything is served

    def __serve_build_asgi_app__(self) -> ASGIApp:
        write = not self._router.settings.environment.space_id
        return build(self._router, write=write, ui=False, host=self._host)


def application(arguments: Arguments) -> Application:
    """ConfigError and UsageError where it would be served wrongly: without keys to everybody, or on
    several nodes with a database for each."""
    settings = load(arguments.config, arguments.data)
    if not arguments.insecure:
        check_guarded(settings.environment, EVERYWHERE, ui=False)
    refuse_sqlite(settings)
    return RouterService.options(num_replicas=arguments.replicas).bind(arguments)

"""The connection to a Ray cluster, which only those who ask for it need installed."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Any

from config.environment import ray_address, submitted_to_ray
from config.errors import ConfigError, RouterError, UsageError
from config.models import Settings

ROOT = Path(__file__).parent.parent
NOT_SENT = [".venv", "data", "tests", "strangers", "benchmarks", "docs", "notebooks", "deploy"]
"""What nodes do not need of this folder; Ray leaves out what `.gitignore` names as well."""

REACH_S = 10.0
OBJECT_STORE_BYTES = 200 * 2**20
"""Of a cluster that is started here; blocks are small, and few are there at a time."""


def connect(settings: Settings) -> None:
    """Join the cluster that RAY_ADDRESS names, or start one on this machine."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise UsageError(
            "--engine ray needs Ray, which is not installed here:"
            " pip install -r requirements-ray.txt",
            "engine",
        ) from None
    address = ray_address()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None or address == "local":
        options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    elif address.startswith("ray://"):
        raise UsageError(
            "RAY_ADDRESS is that of a Ray client, whose files the cluster cannot read: run this on"
            " a machine of the cluster, with its own address, or by `ray job submit`",
            "engine",
        )
    elif not submitted_to_ray():
        options |= {"runtime_env": {"working_dir": str(ROOT), "excludes": NOT_SENT}}
    try:
        _reach(address)
        ray.init(address=address or "local", **options)
    except (OSError, RuntimeError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise RouterError(
            f"there is no Ray cluster at {address or 'this machine'}: {first}"
        ) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        refuse_sqlite(settings)
    except ConfigError:
        disconnect()
        raise


def _reach(address: str | None) -> None:
    """Raises OSError where nothing listens: Ray itself would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), REACH_S).close()


def disconnect() -> None:
    """Leave the cluster, or end the one that was started here."""
    import ray

    ray.shutdown()


def refuse_sqlite(settings: Settings) -> None:
    """ConfigError where the nodes of the cluster would each have a database of their own."""
    import ray

    nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    url = settings.environment.database_url
    if nodes > 1 and (url is None or url.startswith("sqlite")):
        raise ConfigError(
            f"the {nodes} nodes of the Ray cluster need a database that all of them reach, and"
            " SQLite is a file of one machine: set ROUTER_DATABASE_URL to one of PostgreSQL"
        )


def plain(error: BaseException) -> RouterError:
    """Our own error where one is behind it, else Ray's in one line."""
    seen: BaseException | None = error
    while seen is not None:
        cause = getattr(seen, "cause", None)
        for found in (seen, cause):
            if isinstance(found, RouterError):
                return found
        seen = seen.__cause__ or seen.__context__
    lines = str(error).strip().splitlines()
    return RouterError(f"Ray: {lines[-1] if lines else type(error).__name__}")

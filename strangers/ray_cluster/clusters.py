"""The clusters of the suite: where they write, what their nodes have, how others are waited for."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from config.environment import quiet
from strangers.service import free_port
from tests.upstream import Upstream

FOLDER = tempfile.mkdtemp(prefix="ray-")  # short: a socket's path has a limit
os.environ["RAY_TMPDIR"] = FOLDER
quiet()

OBJECT_STORE_BYTES = 200 * 2**20
WAIT_S = 240.0
DETECTION = {
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 30_000,
    "agent_register_timeout_ms": 120_000,
}
"""A node that refuses connections is given up within some seconds, one that is slow is not."""


TRIES = 4
"""Ray gives a node 30 s to start, which a machine that does much else may exceed."""


def add_node(nodes: Any, **more: Any) -> None:
    """One more, of one CPU. Ray would wait for ports that its helpers choose; these are given."""
    ports = ("metrics_agent_port", "metrics_export_port", "runtime_env_agent_port")
    for left in reversed(range(TRIES)):
        chosen = {name: free_port() for name in (*ports, "dashboard_agent_listen_port")}
        try:
            nodes.add_node(
                num_cpus=1, object_store_memory=OBJECT_STORE_BYTES, **chosen, **deepcopy(more)
            )
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise
        else:
            return


@dataclass
class RayCluster:
    """The cluster, what its processes find in their environment, and their upstream."""

    nodes: Any
    config: Path
    data: Path
    database_url: str
    upstream: Upstream

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.data),
            "RAY_TMPDIR": FOLDER,
            "RAY_ADDRESS": self.nodes.address,
            "ROUTER_DATABASE_URL": self.database_url,
        }

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query).fetchall()


def actors() -> list[int]:
    """The processes of routers that clusters of this suite have started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            name = (process / "cmdline").read_bytes()
            if b"MapWorker" in name and FOLDER.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def until(found: Callable[[], object], expected: object, log: Path | None = None) -> None:
    """Wait for what happens in other processes; where it does not, show `log` too."""
    give_up_at = time.monotonic() + WAIT_S
    while (last := found()) != expected:
        if time.monotonic() > give_up_at:
            said = log.read_text(errors="replace")[-4000:] if log else ""
            raise AssertionError(f"{last!r} did not become {expected!r}\n{said}")
        time.sleep(0.05)

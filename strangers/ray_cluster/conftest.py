"""A Ray cluster of two nodes with a CPU each, on PostgreSQL, over a scripted upstream."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from strangers.ray_cluster.clusters import DETECTION, FOLDER, RayCluster, add_node
from strangers.service import write_config
from tests.telemetry.conftest import postgres
from tests.telemetry.postgres import PostgresServer
from tests.upstream import Upstream

__all__ = ["postgres"]


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream.in_thread() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def config(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Providers at the upstream, which may take as long as a test holds them."""
    folder = tmp_path_factory.mktemp("router") / "config"
    write_config(folder, upstream.base_url)
    file = folder / "providers.yaml"
    written = yaml.safe_load(file.read_text())
    long = {"ttft_s": 600.0, "stall_s": 600.0, "deadline_s": 900.0}
    alone = {category: ["scripted"] for category in written["priorities"]}
    file.write_text(yaml.safe_dump(written | {"limits": long, "priorities": alone}))
    return folder


@pytest.fixture(scope="session")
def cluster(postgres: PostgresServer, upstream: Upstream, config: Path) -> Iterator[RayCluster]:
    """Started once; its second node is the one that tests may kill."""
    from ray.cluster_utils import Cluster

    nodes = Cluster()
    try:
        add_node(nodes, include_dashboard=False, _system_config=DETECTION)
        add_node(nodes)
        yield RayCluster(nodes, config, config.parent / "data", postgres.database(), upstream)
    finally:
        nodes.shutdown()


@pytest.fixture(scope="session", autouse=True)
def _leave_nothing() -> Iterator[None]:
    yield
    import ray

    ray.shutdown()
    shutil.rmtree(FOLDER, ignore_errors=True)

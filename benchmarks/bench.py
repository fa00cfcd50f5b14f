"""What the benchmarks share: a router on a loopback upstream, and tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from graph.router import Router
from tests.conftest import CATEGORIES
from tests.upstream import Upstream

Row = tuple[str, ...]
Routing = AbstractAsyncContextManager[Router]


def router_on(upstream: Upstream, folder: Path, **sections: Mapping[str, Any]) -> Routing:
    """A warm router whose primary `first` and fallback `cheap` are both at the upstream."""
    return router_between(upstream.base_url, upstream.base_url, folder, **sections)


@asynccontextmanager
async def router_between(
    primary_url: str, fallback_url: str, folder: Path, **sections: Mapping[str, Any]
) -> AsyncIterator[Router]:
    """The same with an upstream for each."""
    config = write_config(primary_url, fallback_url, folder, **sections)
    async with Router.from_config(config, folder / "data", environ={}) as router:
        await router.warm()
        yield router


def write_config(
    primary_url: str, fallback_url: str, folder: Path, **sections: Mapping[str, Any]
) -> Path:
    """A configuration in the folder; `sections` replace those of `providers.yaml`."""
    cost = {"input": 1.0, "output": 2.0}
    written: dict[str, Any] = {
        "hosts": {"near": {"base_url": primary_url}, "far": {"base_url": fallback_url}},
        "providers": [
            {"name": "first", "host": "near", "model": "first", "cost": cost},
            {"name": "cheap", "host": "far", "model": "cheap", "cost": cost},
        ],
        "priorities": {category: ["first"] for category in CATEGORIES},
        "fallback": {"provider": "cheap"},
    }
    for name, section in sections.items():
        written[name] = {**written.get(name, {}), **section}
    config = folder / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "providers.yaml").write_text(yaml.safe_dump(written))
    (config / "categories.yaml").write_text(yaml.safe_dump(CATEGORIES))
    return config


def print_table(title: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    Console().print(table)

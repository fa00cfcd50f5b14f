"""What the benchmarks share: a router on a loopback upstream, and tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from graph.router import Router
from tests.conftest import CATEGORIES
from tests.upstream import Upstream

Row = tuple[str, ...]


@asynccontextmanager
async def router_on(
    upstream: Upstream | str, folder: Path, **sections: Mapping[str, Any]
) -> AsyncIterator[Router]:
    """A warm router whose `first` is the primary and `cheap` the fallback, both at the upstream.

    `upstream` is the server or its base URL; `sections` replace those of `providers.yaml`.
    """
    url = upstream if isinstance(upstream, str) else upstream.base_url
    written: dict[str, Any] = {
        "hosts": {"upstream": {"base_url": url}},
        "providers": [
            {"name": n, "host": "upstream", "model": n, "cost": {"input": 1.0, "output": 2.0}}
            for n in ("first", "cheap")
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
    async with Router.from_config(config, folder / "data", environ={}) as router:
        await router.warm()
        yield router


def print_table(title: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    Console().print(table)

"""What the benchmarks share: a router on a loopback upstream, and tables."""

from __future__ import annotations

import asyncio
import json
import shutil
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
from vectorstore.embeddings import Embedder
from vectorstore.knowledge import Knowledge

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "config"
Row = tuple[str, ...]
Routing = AbstractAsyncContextManager[Router]


def router_on(upstream: Upstream, folder: Path, **sections: Mapping[str, Any]) -> Routing:
    """A warm router whose primary `first` and fallback `cheap` are both at the upstream."""
    return router_between(upstream.base_url, upstream.base_url, folder, None, **sections)


@asynccontextmanager
async def router_between(
    primary_url: str,
    fallback_url: str,
    folder: Path,
    learned: Path | None,
    **sections: Mapping[str, Any],
) -> AsyncIterator[Router]:
    """The same with an upstream for each.

    `learned` is a data folder that `learn_shipped` filled: the categories and documents are then
    the ones that ship, which takes the time that it takes.
    """
    config = write_config(primary_url, fallback_url, folder, **sections)
    if learned is not None:
        shutil.copytree(learned, folder / "data")
        shutil.copy(SHIPPED / "categories.yaml", config)
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


def learn_shipped(data: Path, *, topics: bool = False) -> None:
    """Take in the shipped documents; a quarter of a minute, a whole one with Python's `topics`,
    which a service that starts would take in behind its requests."""
    data.mkdir(parents=True)
    embedder = Embedder.load()
    knowledge = Knowledge.open(data, embedder)
    asyncio.run(knowledge.ingest(SHIPPED / "knowledge", topics=topics))
    knowledge.close()


def prompts() -> list[str]:
    """Several hundred prompts of every kind, none of them among the categories' examples."""
    lines = (Path(__file__).parent / "data" / "classification.jsonl").read_text().splitlines()
    return [str(json.loads(line)["prompt"]) for line in lines]


def print_table(title: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    Console().print(table)

"""Fixtures for every test: the misbehaving upstream, and settings that point at it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from config.loader import load
from config.models import Settings
from providers.embedded import EmbeddedLlama
from providers.llama_server import BUNDLED_MODEL
from runtime.services import classifier_for, shared_encoder
from tests.upstream import Upstream


def pytest_configure() -> None:
    """Use Hypothesis' own profile for build servers: the same examples each time, and no limit of
    200 ms for one of them, which a busy machine breaks.

    Imported here, since other people's suites take this module's constants where it is missing.
    """
    from hypothesis import settings as hypothesis_settings

    hypothesis_settings.load_profile("ci")


CATEGORIES: dict[str, Any] = {
    "technical": {
        "description": "Programming, mathematics, science and engineering.",
        "examples": [
            "Write a Python function that merges two sorted lists.",
            "Why does TCP need a three-way handshake?",
            "Fix this SQL query, it returns duplicate rows.",
            "Solve the equation 3x^2 - 5x + 2 = 0.",
        ],
        "keywords": ["python", "sql"],
    },
    "creative": {
        "description": "Stories, poems, slogans, role play.",
        "examples": [
            "Write a haiku about rain.",
            "Tell me a short story about a lighthouse keeper.",
            "Invent a slogan for a bakery.",
            "Compose a limerick about a cat.",
        ],
        "keywords": ["poem", "haiku"],
    },
    "general": {
        "description": "Everyday facts, advice, small talk.",
        "examples": [
            "What is the capital of Australia?",
            "How long do I boil an egg?",
            "What should I see in Lisbon?",
            "Hello, how are you today?",
        ],
    },
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin the files that take longest, so that no process waits for them at the run's end."""
    long = ("browser", "model", "slow")
    first = {item.path for item in items if any(map(item.get_closest_marker, long))}
    items.sort(key=lambda item: item.path not in first)


class SettingsFor(Protocol):
    """Writes a configuration into tmp_path and loads it, through the real loader.

    Without arguments: providers `first`, `second` and `cheap`, on models of the same names at the
    upstream; every category prefers `first`, then `second`; `cheap` is the fallback. Keyword
    arguments replace top-level sections of `providers.yaml`; a mapping is merged into the default
    one (`hosts`, `fallback`, `limits`, …), anything else replaces it. `categories` replaces the
    categories. `environ` stands for the process environment; neither it nor `.env` is read.
    """

    def __call__(
        self,
        upstream: Upstream | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        categories: Mapping[str, Any] | None = None,
        **sections: Any,
    ) -> Settings: ...


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A healthy upstream on this test's loop; script it with `behave` and `enqueue`."""
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture
def settings_for(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> SettingsFor:
    """See SettingsFor; the folders are `tmp_path/config` and `tmp_path/data`. The data folder has
    the classifier of the default categories, which is trained once a session."""

    def write_and_load(
        upstream: Upstream | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        categories: Mapping[str, Any] | None = None,
        **sections: Any,
    ) -> Settings:
        kinds = dict(CATEGORIES if categories is None else categories)
        written = _defaults(upstream, list(kinds))
        for name, section in sections.items():
            if isinstance(section, Mapping) and isinstance(written.get(name), dict):
                written[name] = {**written[name], **section}
            else:
                written[name] = section
        folder = tmp_path / "config"
        folder.mkdir(exist_ok=True)
        (folder / "providers.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
        (folder / "categories.yaml").write_text(yaml.safe_dump(kinds, sort_keys=False))
        settings = load(folder, tmp_path / "data", environ=environ or {}, dotenv=None)
        if categories is None:
            _give_classifier(settings, tmp_path_factory)
        return settings

    return write_and_load


_TRAINED: list[bytes] = []


def _give_classifier(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a data folder has after its first minute."""
    name = "classifier.npz"
    if not _TRAINED:
        folder = tmp_path_factory.mktemp("classifier")
        classifier_for(settings.model_copy(update={"data_dir": folder}), shared_encoder())
        _TRAINED.append((folder / name).read_bytes())
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    (settings.data_dir / name).write_bytes(_TRAINED[0])


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps this process's embedded LLaMA running for the tests of a module (mark them `model`).

    Routers that use it start and stop it by themselves; this only saves the start for each test.
    """
    llama = EmbeddedLlama(BUNDLED_MODEL, tmp_path_factory.mktemp("llama"))
    asyncio.run(llama.ensure())
    yield
    asyncio.run(llama.stop())


def _defaults(upstream: Upstream | None, categories: list[str]) -> dict[str, Any]:
    url = upstream.base_url if upstream is not None else "http://127.0.0.1:9/v1"
    cost = {"input": 1.0, "output": 2.0}
    return copy.deepcopy(
        {
            "hosts": {"upstream": {"base_url": url}},
            "providers": [
                {"name": name, "host": "upstream", "model": name, "cost": cost}
                for name in ("first", "second", "cheap")
            ],
            "priorities": {category: ["first", "second"] for category in categories},
            "fallback": {"provider": "cheap"},
            # Chance has no place in a test, nor has what a slow machine would teach.
            "ranking": {"explore_min": 0, "explore_max": 0, "margin": 1},
        }
    )

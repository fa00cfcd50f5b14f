from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from config.errors import NotFoundError
from providers.base import ChatProvider
from providers.openai_chat import OpenAIChat
from providers.registry import Providers
from tests.conftest import SettingsFor
from tests.providers.conftest import MakeProviders, ask
from tests.upstream import Upstream

MODEL = "smollm2-135m-instruct"
EMBEDDED: dict[str, Any] = {
    "hosts": {"embedded": {"kind": "llama_cpp"}, "theatre": {"kind": "simulated"}},
    "providers": [
        {"name": "first", "host": "embedded", "model": MODEL},
        {"name": "second", "host": "embedded", "model": "other.gguf"},
        {"name": "cheap", "host": "embedded", "model": MODEL, "temperature": 0.9},
        {"name": "actor", "host": "theatre", "model": "m"},
        {"name": "remote", "host": "upstream", "model": "m"},
    ],
}


async def test_a_provider_is_built_once(
    make_providers: MakeProviders, settings_for: SettingsFor, upstream: Upstream
) -> None:
    providers = make_providers(settings_for(upstream))
    first = providers.get("first")
    assert first is providers.get("first")
    assert (first.name, first.model, first.host, first.simulated) == (
        "first",
        "first",
        "upstream",
        False,
    )


async def test_providers_of_one_host_share_its_connections(
    make_providers: MakeProviders, settings_for: SettingsFor, upstream: Upstream
) -> None:
    providers = make_providers(settings_for(upstream))
    first, second = providers.get("first"), providers.get("second")
    assert isinstance(first, OpenAIChat)
    assert isinstance(second, OpenAIChat)
    assert first.pool is second.pool


def test_each_event_loop_has_its_own_clients(settings_for: SettingsFor) -> None:
    with Upstream.in_thread() as upstream:
        providers = Providers(settings_for(upstream))

        async def answer() -> tuple[ChatProvider, str]:
            provider = providers.get("first")
            try:
                return provider, (await ask(provider)).text
            finally:
                await providers.close()

        one, other = asyncio.run(answer()), asyncio.run(answer())
    assert one[1] == other[1] == "word0 word1 word2 word3 word4 "
    assert one[0] is not other[0]


async def test_closed_providers_open_again(
    make_providers: MakeProviders, settings_for: SettingsFor, upstream: Upstream
) -> None:
    providers = make_providers(settings_for(upstream))
    provider = providers.get("first")
    await ask(provider)
    await providers.close()
    await upstream.until(lambda: upstream.concurrent == 0)
    assert (await ask(provider)).error is None


async def test_an_unknown_name_is_answered_with_the_nearest(
    make_providers: MakeProviders, settings_for: SettingsFor, upstream: Upstream
) -> None:
    providers = make_providers(settings_for(upstream))
    with pytest.raises(NotFoundError, match=r"no provider `frist`; did you mean `first`\?"):
        providers.get("frist")
    with pytest.raises(NotFoundError, match="there are first, second, cheap"):
        providers.get("zzz")


async def test_a_disabled_provider_says_why(
    make_providers: MakeProviders, settings_for: SettingsFor, upstream: Upstream
) -> None:
    hosts = {"upstream": {"base_url": upstream.base_url, "api_key_env": "UP_KEY"}}
    providers = make_providers(settings_for(upstream, hosts=hosts))
    with pytest.raises(NotFoundError, match="`first` is disabled: UP_KEY is not set"):
        providers.get("first")


async def test_which_providers_share_the_embedded_llama(
    make_providers: MakeProviders, settings_for: SettingsFor
) -> None:
    providers = make_providers(settings_for(**EMBEDDED))
    assert providers.shares_embedded("first", "cheap")
    assert providers.shares_embedded("first", "first")
    assert not providers.shares_embedded("first", "second")
    assert not providers.shares_embedded("first", "remote")
    assert not providers.shares_embedded("actor", "actor")
    assert not providers.shares_embedded("first", "nobody")


async def test_each_kind_of_host_has_its_provider(
    make_providers: MakeProviders, settings_for: SettingsFor
) -> None:
    providers = make_providers(settings_for(**EMBEDDED))
    assert isinstance(providers.get("first"), OpenAIChat)
    assert isinstance(providers.get("remote"), OpenAIChat)
    assert providers.get("actor").simulated


async def test_warming_leaves_remote_hosts_alone(
    make_providers: MakeProviders, settings_for: SettingsFor, upstream: Upstream
) -> None:
    await make_providers(settings_for(upstream)).warm(["first", "second"])
    assert upstream.requests == 0


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    script = (
        "import sys, providers.registry, providers.base\n"
        "heavy = {'aiohttp', 'openai', 'langchain_openai', 'langchain_core', 'xllamacpp'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr

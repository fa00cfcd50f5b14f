"""OpenRouter, Ollama and the hosts' own lists on loopback, in the shapes that they really send."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from config.hosts import Cost, Host
from discovery.sources import hosts, openrouter
from discovery.sources.hosts import ModelsSource, OllamaSource, cost
from discovery.sources.openrouter import OpenRouterSource
from discovery.sources.source import Found, Source, SourceError, ask_all, read
from tests.discovery.services import ChatHost, Hub, Ollama, OpenRouter, Reply

LLAMA = {
    "id": "meta-llama/llama-3.3-70b-instruct",
    "canonical_slug": "meta-llama/llama-3.3-70b-instruct",
    "hugging_face_id": "meta-llama/Llama-3.3-70B-Instruct",
    "name": "Meta: Llama 3.3 70B Instruct",
    "created": 1733506137,
    "description": "The Meta Llama 3.3 multilingual large language model",
    "context_length": 131072,
    "architecture": {
        "modality": "text->text",
        "input_modalities": ["text"],
        "output_modalities": ["text"],
        "tokenizer": "Llama3",
        "instruct_type": "llama3",
    },
    "pricing": {"prompt": "0.00000010", "completion": "0.00000032", "request": "0", "image": "0"},
    "top_provider": {"context_length": 131072, "max_completion_tokens": 16384},
    "per_request_limits": None,
    "supported_parameters": ["max_tokens", "temperature"],
}
FREE = LLAMA | {
    "id": "meta-llama/llama-3.3-70b-instruct:free",
    "pricing": {"prompt": "0", "completion": "0"},
}
PICTURES = LLAMA | {
    "id": "someone/llama-painter",
    "architecture": {"output_modalities": ["image"], "tokenizer": "Other"},
}
AUTO = LLAMA | {"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1"}}


async def only(source: Source, *, problem: str | None = None) -> dict[str, Found]:
    [answer] = await ask_all([source], "technical")
    assert answer.problem == problem
    return {found.id: found for found in answer.found}


async def test_openrouter_tells_prices_context_and_date() -> None:
    with OpenRouter(LLAMA, FREE, PICTURES, AUTO) as service:
        found = await only(OpenRouterSource(f"{service.url}/api/v1"))
    llama = found["meta-llama/llama-3.3-70b-instruct"]
    assert llama.cost == Cost(input=0.10, output=0.32)
    assert llama.context == 131072
    assert llama.released == "2024-12-06"
    assert llama.also == "meta-llama/Llama-3.3-70B-Instruct"
    assert llama.architecture == "llama3"
    assert found["meta-llama/llama-3.3-70b-instruct:free"].cost == Cost(input=0, output=0)
    assert found["openrouter/auto"].cost is None
    assert "someone/llama-painter" not in found


async def test_openrouter_is_read_page_by_page() -> None:
    models = [LLAMA | {"id": f"org/llama-{n}b"} for n in range(1, 8)]
    with OpenRouter(*models, page=3) as service:
        assert len(await only(OpenRouterSource(f"{service.url}/api/v1"))) == 7
        assert [a.query.get("offset") for a in service.asked] == [None, ["3"], ["6"]]


async def test_a_next_page_at_another_host_is_not_asked() -> None:
    with OpenRouter(LLAMA) as service, Hub() as other:
        body = {"data": [], "links": {"next": f"{other.url}/api/v1/models"}}
        service.faults = [Reply.json(body)]
        said = "openrouter points to another host for its next page: refused"
        await only(OpenRouterSource(f"{service.url}/api/v1"), problem=said)
        assert other.asked == []


async def test_ollama_tells_family_and_size_of_what_is_installed() -> None:
    tag = {
        "name": "llama3.2:1b",
        "model": "llama3.2:1b",
        "modified_at": "2026-10-03T23:34:03.409490317-07:00",
        "size": 1321098329,
        "digest": "baf6a787fdffd633537aa2eb51cfd54cb93ff08e28040095462bb63daf552878",
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": "1.2B",
            "quantization_level": "Q8_0",
        },
    }
    with Ollama(tag) as service:
        host = Host(base_url_env="OLLAMA_BASE_URL", url=f"{service.url}/v1")
        found = (await only(OllamaSource("ollama", host)))["llama3.2:1b"]
        assert "llama3.2:1b" in await only(ModelsSource("ollama", host))
    assert found.host == "ollama"
    assert found.architecture == "llama"
    assert found.parameters == 1.2e9
    assert found.cost == Cost(input=0, output=0)


GROQ = {
    "id": "llama-3.3-70b-versatile",
    "object": "model",
    "created": 1733447754,
    "owned_by": "Meta",
    "active": True,
    "context_window": 131072,
    "max_completion_tokens": 32768,
    "hugging_face_id": "meta-llama/Llama-3.3-70B-Instruct",
    "output_modalities": ["text"],
    "pricing": {"prompt": "0.00000059", "completion": "0.00000079"},
}
TOGETHER = {
    "id": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "object": "model",
    "created": 0,
    "type": "chat",
    "running": False,
    "display_name": "Meta Llama 3.3 70B Instruct Turbo",
    "organization": "Meta",
    "license": "llama3.3",
    "context_length": 131072,
    "pricing": {"hourly": 0, "input": 1.04, "output": 1.04, "base": 0, "finetune": 0},
}
ROUTED = {
    "id": "meta-llama/Llama-3.1-8B-Instruct",
    "object": "model",
    "owned_by": "meta-llama",
    "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
    "providers": [
        {"provider": "dear", "status": "live", "context_length": 131072,
         "pricing": {"input": 0.2, "output": 0.2}},
        {"provider": "cheap", "status": "live", "context_length": 16384,
         "pricing": {"input": 0.02, "output": 0.05}},
        {"provider": "gone", "status": "error", "pricing": {"input": 0.001, "output": 0.001}},
    ],
}  # fmt: skip
VLLM = {
    "id": "my-llama",
    "object": "model",
    "owned_by": "vllm",
    "root": "meta-llama/Llama-3.1-8B-Instruct",
    "max_model_len": 8192,
}


@pytest.mark.parametrize(
    ("entry", "price", "context", "also"),
    [
        (GROQ, Cost(input=0.59, output=0.79), 131072, "meta-llama/Llama-3.3-70B-Instruct"),
        (TOGETHER, Cost(input=1.04, output=1.04), 131072, None),
        (ROUTED, Cost(input=0.02, output=0.05), 131072, None),
        (VLLM, None, 8192, "meta-llama/Llama-3.1-8B-Instruct"),
        ({"id": "bare-llama"}, None, None, None),
    ],
    ids=["groq", "together", "hugging face", "vllm", "bare"],
)
async def test_a_host_lists_what_it_serves_in_its_own_dialect(
    entry: dict[str, Any], price: Cost | None, context: int | None, also: str | None
) -> None:
    with ChatHost() as service:
        service.listed = [entry, TOGETHER | {"id": "embedder", "type": "embedding"}]
        host = Host(base_url=service.base_url, url=service.base_url, key=SecretStr("secret-key"))
        found = await only(ModelsSource("there", host))
        assert service.asked[0].headers["authorization"] == "Bearer secret-key"
    assert list(found) == [entry["id"]]
    [one] = found.values()
    assert (one.host, one.cost, one.context, one.also) == ("there", price, context, also)


async def test_a_host_that_refuses_its_key_is_named_without_it() -> None:
    with ChatHost() as service:
        service.faults = [Reply.json({"error": {"message": "secret-key is wrong"}}, 401)]
        host = Host(base_url=service.base_url, url=service.base_url, key=SecretStr("secret-key"))
        await only(ModelsSource("there", host), problem="host there answered with status 401")


async def test_a_redirect_of_a_host_is_not_followed() -> None:
    with ChatHost() as service, Hub() as other:
        service.faults = [Reply(302, headers={"location": f"{other.url}/v1/models"})]
        host = Host(base_url=service.base_url, url=service.base_url)
        await only(ModelsSource("there", host), problem="host there answered with status 302")
        assert other.asked == []


class Slow:
    """A source that never answers."""

    name, deadline_s, cached = "slow", 0.05, True

    async def search(self, category: str, http: object) -> list[Found]:
        await asyncio.Event().wait()
        raise AssertionError


class Broken:
    """A source that says something and then fails."""

    name, deadline_s, cached = "broken", 5.0, True

    async def search(self, category: str, http: object) -> list[Found]:
        raise SourceError("broken: half of it", read([{"source": "broken", "id": "a/llama"}], dict))


async def test_a_source_that_is_late_or_fails_does_not_stop_the_others() -> None:
    with OpenRouter(LLAMA) as service:
        working = OpenRouterSource(f"{service.url}/api/v1")
        slow, broken, whole = await ask_all([Slow(), Broken(), working], "technical")
    assert slow.problem == "slow did not answer within 0.05 s"
    assert broken.problem == "broken: half of it"
    assert [found.id for found in broken.found] == ["a/llama"]
    assert whole.problem is None
    assert len(whole.found) == 1


def test_prices_of_both_conventions_and_of_none() -> None:
    assert cost({"prompt": "0.0000006", "completion": 0.0000008}) == {"input": 0.6, "output": 0.8}
    assert cost({"input": 0.6, "output": "0.8"}) == {"input": 0.6, "output": 0.8}
    for nothing in (None, {}, "free", {"prompt": "?"}, {"input": 0, "output": 0}, {"prompt": "1"}):
        assert cost(nothing) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = [
    *("id", "name", "type", "details", "license", "root", "hugging_face_id", "created"),
    *("pricing", "architecture", "providers", "context_length"),
]
entries = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, anything))


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=80)
@given(listed=st.lists(entries, max_size=4))
def test_an_entry_of_any_shape_is_read_or_dropped(listed: list[dict[str, Any]]) -> None:
    host = ModelsSource("there", Host(base_url="http://127.0.0.1:9", url="http://127.0.0.1:9"))
    ollama = OllamaSource("there", host.host)
    for describe in (host._fields, ollama._fields, openrouter._fields):
        assert all(isinstance(found, Found) for found in read(listed, describe))
    read([{"source": "x", "id": "y"} for e in listed if hosts.makes_text(e)], dict)

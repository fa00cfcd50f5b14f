"""The hub's real protocol on loopback: paging, limits, files, and whom its client may talk to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import httpx2
import pytest
from pydantic import SecretStr

from discovery.sources.hub import HubSource
from discovery.sources.hub_client import Bounds, HubPlace, check_address
from discovery.sources.source import Found, RefusedError, SourceError, ask_all
from tests.discovery.services import Hub, HubModel, Reply

NO_HTTP = cast("httpx2.AsyncClient", None)
"""The hub's source brings its own client."""

ORIGINAL = HubModel(
    "meta-llama/Llama-3.3-70B-Instruct",
    tags=(
        "transformers",
        "safetensors",
        "llama",
        "conversational",
        "license:llama3.3",
        "region:us",
    ),
    downloads=900_000,
    likes=2_500,
    created="2024-11-26T16:08:47.000Z",
    gated="manual",
    card={"license": "llama3.3", "language": ["en"]},
    config={"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
    safetensors={"parameters": {"BF16": 70_553_706_496}, "total": 70_553_706_496},
)
QUANTISED = HubModel(
    "somebody/Llama-3.2-1B-Instruct-GGUF",
    tags=(
        "gguf",
        "conversational",
        "base_model:meta-llama/Llama-3.2-1B-Instruct",
        "base_model:quantized:meta-llama/Llama-3.2-1B-Instruct",
    ),
    downloads=120_000,
    likes=90,
    card={"license": "llama3.2"},
    gguf={"total": 1_235_814_432, "architecture": "llama", "context_length": 131072},
    files={
        "README.md": b"# hello",
        "Llama-3.2-1B-Instruct-Q8_0.gguf": b"GGUF" + b"8" * 400,
        "Llama-3.2-1B-Instruct-Q4_K_M.gguf": b"GGUF" + b"4" * 200,
        "mmproj-model-f16.gguf": b"GGUF",
        "Llama-3.2-1B-Instruct-Q4_K_S-00001-of-00002.gguf": b"GGUF",
    },
)
IMPOSTOR = HubModel(
    "someone/llama-in-name-only-7B-Instruct",
    tags=("gguf", "conversational"),
    gguf={"total": 7_000_000_000, "architecture": "qwen2", "context_length": 32768},
)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(ORIGINAL, QUANTISED, IMPOSTOR) as hub:
        yield hub


async def found_at(hub: Hub, memory: int = 10**9, category: str = "technical") -> dict[str, Found]:
    source = HubSource(memory, HubPlace(hub.url))
    return {found.id: found for found in await source.search(category, NO_HTTP)}


async def test_a_model_comes_with_all_that_the_hub_says_of_it(hub: Hub) -> None:
    found = (await found_at(hub))[ORIGINAL.id]
    assert found.architecture == "llama"
    assert found.parameters == 70_553_706_496
    assert found.licence == "llama3.3"
    assert found.released == "2024-11-26"
    assert (found.downloads, found.likes) == (900_000, 2_500)
    assert found.gated
    assert found.chat


async def test_quantised_weights_are_known_as_their_original_with_the_file_to_load(
    hub: Hub,
) -> None:
    found = (await found_at(hub, memory=10**9))[QUANTISED.id]
    assert found.also == "meta-llama/Llama-3.2-1B-Instruct"
    assert found.gguf is not None
    assert found.gguf.file == "Llama-3.2-1B-Instruct-Q4_K_M.gguf"
    assert found.gguf.revision == QUANTISED.sha


async def test_a_file_that_is_too_large_for_this_machine_is_not_offered(hub: Hub) -> None:
    assert (await found_at(hub, memory=100))[QUANTISED.id].gguf is None


async def test_every_page_is_read_up_to_the_limit() -> None:
    models = [
        HubModel(f"org/Llama-{n}B-Instruct", tags=("llama", "conversational"), downloads=n)
        for n in range(1, 60)
    ]
    with Hub(*models, page=7) as hub:
        found = await found_at(hub)
        assert "org/Llama-59B-Instruct" in found
        assert 40 <= len(found) <= 59
        assert any("cursor" in asked.query for asked in hub.asked)


async def test_a_rate_limit_is_a_sentence_and_not_a_wait(hub: Hub) -> None:
    hub.faults = [
        Reply(
            429,
            headers={
                "ratelimit": '"api";r=0;t=55',
                "ratelimit-policy": '"fixed window";"api";q=500;w=300',
                "retry-after": "55",
            },
        )
    ]
    with pytest.raises(SourceError, match="rate-limits this client: try again in 55 s"):
        await found_at(hub)
    assert len(hub.asked) == 1


async def test_a_limit_in_the_middle_keeps_what_was_listed(hub: Hub) -> None:
    hub.limited_after = 1
    [answer] = await ask_all([HubSource(10**9, HubPlace(hub.url))], "technical")
    assert [found.id for found in answer.found] == [ORIGINAL.id]
    assert answer.problem is not None


async def test_a_limit_at_the_files_keeps_the_list(hub: Hub) -> None:
    hub.limited_after = 4
    found = await found_at(hub)
    assert found[QUANTISED.id].gguf is None


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, b"oops"),
        Reply(200, b"<html>sign in</html>"),
        Reply(200, b'{"error": "no"}'),
        Reply(200, b'["text", null, 7]'),
        Reply(200, b'[{"id": 7}, {"name": "no id"}]'),
        Reply(200, b'[{"id": "a/b", "safetensors": {"odd": 1}, "createdAt": "yesterday"}]'),
    ],
    ids=lambda reply: str(reply.body),
)
async def test_nonsense_from_the_hub_is_no_crash(hub: Hub, reply: Reply) -> None:
    hub.faults = [reply] * 4
    [answer] = await ask_all([HubSource(10**9, HubPlace(hub.url))], "technical")
    assert answer.found == ()


async def test_an_unreachable_hub_is_named_at_once() -> None:
    [answer] = await ask_all([HubSource(10**9, HubPlace("http://127.0.0.1:9"))], "technical")
    assert answer.problem == "hub: 127.0.0.1:9 cannot be reached"


async def test_the_login_goes_to_the_hub(hub: Hub) -> None:
    await HubSource(0, HubPlace(hub.url, SecretStr("hf_secret"))).search("general", NO_HTTP)
    assert hub.asked[0].headers["authorization"] == "Bearer hf_secret"


async def test_a_next_page_elsewhere_is_refused(hub: Hub) -> None:
    with Hub() as other:
        hub.faults = [Reply(200, b"[]", {"link": f'<{other.url}/api/models>; rel="next"'})]
        with pytest.raises(SourceError, match="which is not the configured hub; refused"):
            await found_at(hub)
        assert other.asked == []


async def test_a_redirect_of_the_api_elsewhere_is_refused(hub: Hub) -> None:
    with Hub() as other:
        hub.faults = [Reply(302, headers={"location": f"{other.url}/api/models"})]
        with pytest.raises(SourceError, match="refused"):
            await found_at(hub)
        assert other.asked == []


PUBLIC = Bounds("https://huggingface.co", until=2e9, elsewhere=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://10.0.0.8/x",
        "https://192.168.1.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://[fd00::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://0.0.0.0/x",
        "https://2130706433/x",
        "http://93.184.216.34/x",
    ],
)
def test_files_never_lead_from_the_public_hub_into_a_private_network(url: str) -> None:
    with pytest.raises(RefusedError):
        check_address(url, PUBLIC)


def test_a_public_address_may_hold_the_files() -> None:
    check_address("https://93.184.216.34/x", PUBLIC)
    check_address("https://huggingface.co/x", PUBLIC)


def test_a_hub_in_a_private_network_may_have_its_files_there() -> None:
    check_address("http://127.0.0.1:1/x", Bounds("http://127.0.0.1:2", 2e9, elsewhere=True))

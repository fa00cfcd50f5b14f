"""FailoverBench's sixteen scenarios, rebuilt from its public catalogue (methodology 0.1).

https://github.com/failoverbench/failoverbench, `scenarios/catalogue.yaml`. Two views are scored:
what the caller got and what the provider saw. Delivery is live; shipped limits and published
waits both run at a fifth of their length. S15, an outage of a minute at one request each 4 s, is
played at its full length on virtual time (`tests/graph/test_seams.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from config.models import Settings
from tests.api.conftest import Service, serving
from tests.upstream import CONTEXT_LENGTH, Behaviour, Upstream, error_body
from tests.wall.conftest import wall_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANONICAL = " ".join(f"word{n}" for n in range(60))
HEALTHY = Behaviour(text=CANONICAL, token_s=0.002)
SCALE = 0.2
"""Of the shipped limits, and of the faults' lengths with them."""
POLICY = error_body("rejected", "invalid_request_error", "content_policy_violation")


@dataclass(frozen=True)
class Scenario:
    """What the primary does call by call, and what is right."""

    name: str
    faults: tuple[Behaviour, ...]
    calls: tuple[int, int] = (1, 2)
    """How many the primary may see."""
    within_s: float = 8.0
    rescued: bool = True
    helper: Behaviour = HEALTHY


SCENARIOS = [
    Scenario("S01 429 with Retry-After", (Behaviour(status=429, headers={"retry-after": "2"}),
             HEALTHY), calls=(1, 1)),
    Scenario("S02 429 without Retry-After, persistent", (Behaviour(status=429),), calls=(1, 4)),
    Scenario("S03 500 once, then healthy", (Behaviour(status=500), HEALTHY), calls=(2, 2)),
    Scenario("S04 503 persistent", (Behaviour(status=503),), calls=(1, 6)),
    Scenario("S05 TCP reset before headers", (Behaviour(reset=True), HEALTHY)),
    Scenario("S06 no response at all", (Behaviour(hang="before_headers"),), calls=(1, 1)),
    Scenario("S07 slow first token", (Behaviour(text=CANONICAL, ttft_s=20 * SCALE),), calls=(1, 1)),
    Scenario("S08 stream cut mid-answer", (Behaviour(text=CANONICAL, cut_after=40),)),
    Scenario("S09 stream stalls", (Behaviour(text=CANONICAL, stall_after=20),), calls=(1, 1)),
    Scenario("S10 malformed chunk", (Behaviour(text=CANONICAL, malformed_after=10),)),
    Scenario("S11 stream ends without [DONE]", (Behaviour(text=CANONICAL, done=False),),
             calls=(1, 1)),
    Scenario("S12 context length exceeded", (Behaviour(status=400, body=CONTEXT_LENGTH),),
             calls=(1, 1)),
    Scenario("S13 content-filter rejection", (Behaviour(status=400, body=POLICY),), calls=(1, 1),
             rescued=False),
    Scenario("S14 fallback rejects prefill", (Behaviour(text=CANONICAL, cut_after=40),),
             helper=Behaviour(text=CANONICAL, rejects=("prefill",))),
    Scenario("S16 fail-over accounting", (Behaviour(status=503),), calls=(1, 6)),
]  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bench() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def bench_settings(bench: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    limits = {"ttft_s": 4.0 * SCALE, "stall_s": 5.0 * SCALE, "deadline_s": 120.0 * SCALE}
    folder: Path = tmp_path_factory.mktemp("bench")
    return wall_settings(bench.base_url, folder, limits=limits)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(bench_settings: Settings) -> AsyncIterator[Service]:
    async with serving(bench_settings) as service:
        yield service


async def ask(service: Service) -> dict[str, Any]:
    """One streamed call as the benchmark's client reads it."""
    body = {
        "model": "auto",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": "Explain in exactly sixty words why."}],
    }
    got: dict[str, Any] = {"text": "", "done": False, "error": None, "usage": None, "finish": None}
    reply = await service.http.post("/v1/chat/completions", json=body)
    if reply.status_code != 200:
        return {**got, "error": reply.json()["error"]}
    for line in reply.text.splitlines():
        if line == "data: [DONE]":
            got["done"] = True
        elif line.startswith("data: "):
            event = json.loads(line.removeprefix("data: "))
            got["error"] = event.get("error") or got["error"]
            got["model"] = event.get("model", got.get("model"))
            got["usage"] = event.get("usage") or got["usage"]
            for choice in event.get("choices", ()):
                got["text"] += choice["delta"].get("content") or ""
                got["finish"] = choice["finish_reason"] or got["finish"]
    return got


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
async def test_the_scenario_is_passed(
    scenario: Scenario, gateway: Service, bench: Upstream
) -> None:
    gateway.router.services.routing.forget_breakers()
    bench.log.clear()
    bench.behave("first", *scenario.faults)
    bench.behave("cheap", scenario.helper)
    begun = time.monotonic()
    got = await ask(gateway)
    assert time.monotonic() - begun < scenario.within_s
    least, most = scenario.calls
    assert least <= len(bench.calls("first")) <= most
    if not scenario.rescued:
        assert got["error"]["code"] == "content_filter"
        assert not got["done"]
        return
    assert (" ".join(got["text"].split()), got["error"], got["done"]) == (CANONICAL, None, True)
    assert got["finish"] == "stop"
    assert got["usage"]["completion_tokens"] > 0
    if scenario.name.startswith("S16"):
        assert got["model"] == "cheap"
        (row,) = await gateway.router.services.log.recent(1)
        failed = [a for a in row["attempts"] if a["provider"] == "first"]
        assert all(not a["served"] and not a["tokens_out"] for a in failed)
    bench.behave("first", HEALTHY)
    gateway.router.services.routing.forget_breakers()
    assert (await ask(gateway))["done"]  # alive after it

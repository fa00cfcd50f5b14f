from __future__ import annotations

import asyncio
from typing import Any

import pytest

from config.hosts import Provider, Simulation
from providers.base import CallOptions
from providers.simulated import SimulatedChat
from tests.providers.conftest import HELLO, Reply, ask


class Time:
    """A clock that moves only when somebody sleeps on it."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def simulated(time: Time, *phases: dict[str, Any], **fields: Any) -> SimulatedChat:
    simulation = Simulation.model_validate({"phases": phases or ({},), **fields})
    provider = Provider(
        name="actor", host="theatre", model="m", resolved_model="m", simulation=simulation
    )
    return SimulatedChat(provider, clock=time.clock, sleep=time.sleep)


async def kinds(chat: SimulatedChat, calls: int) -> list[str]:
    replies = [await ask(chat) for _ in range(calls)]
    return [reply.error.kind if reply.error else "ok" for reply in replies]


async def test_the_answer_says_that_it_is_a_simulation_and_names_the_prompt() -> None:
    reply = await ask(simulated(Time()))
    assert reply.text.startswith("[Simulation] actor pretends to answer “Hello”.")
    assert simulated(Time()).simulated


async def test_the_script_sets_when_the_first_and_the_last_token_come() -> None:
    time = Time()
    chat = simulated(time, {"ttft_s": 0.5, "jitter": 0, "tokens_per_s": 20}, tokens=41)
    stream = chat.stream(HELLO)
    await anext(stream)
    assert time.now == pytest.approx(0.5)
    deltas = [delta async for delta in stream]
    assert time.now == pytest.approx(0.5 + 40 / 20)
    assert deltas[-1].finish_reason == "stop"
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.tokens_out == 41


async def test_fewer_tokens_are_wanted_than_the_script_has() -> None:
    reply = await ask(simulated(Time()), options=CallOptions(max_tokens=5))
    assert len(reply.text.split()) == 5
    assert reply.finish_reason == "length"


async def test_phases_by_requests_follow_each_other_and_start_again() -> None:
    chat = simulated(Time(), {"requests": 2}, {"requests": 1, "error": "server"})
    assert await kinds(chat, 6) == ["ok", "ok", "server"] * 2


async def test_phases_by_seconds_follow_the_clock() -> None:
    time = Time()
    chat = simulated(time, {"seconds": 10, "ttft_s": 0}, {"seconds": 5, "error": "server"})
    seen = []
    for now in (1, 9, 11, 14, 16, 15 * 1_000_000 + 12):
        time.now = now
        seen += await kinds(chat, 1)
    assert seen == ["ok", "ok", "server", "server", "ok", "server"]


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ("server", "server", 503),
        ("rate_limited", "rate_limited", 429),
        ("connection", "connection", None),
        ("auth", "auth", 401),
        ("empty", "bad_reply", None),
    ],
)
async def test_scripted_errors_have_their_kind(error: str, kind: str, status: int | None) -> None:
    reply = await ask(simulated(Time(), {"error": error}))
    assert reply.error is not None
    assert (reply.error.kind, reply.error.status, reply.text) == (kind, status, "")
    assert "simulation" in str(reply.error)


async def test_a_cut_comes_in_the_middle_of_the_answer() -> None:
    reply = await ask(simulated(Time(), {"error": "cut"}, tokens=40))
    assert reply.error is not None
    assert (reply.error.kind, len(reply.text.split())) == ("connection", 20)


@pytest.mark.parametrize(("error", "tokens"), [("hang", 0), ("stall", 20)])
async def test_a_silent_one_is_silent_until_it_is_left(error: str, tokens: int) -> None:
    deltas = []

    async def listen() -> None:
        async for delta in simulated(Time(), {"error": error}, tokens=40).stream(HELLO):
            deltas.append(delta)

    task = asyncio.create_task(listen())
    for _ in range(100):
        await asyncio.sleep(0)
    assert (task.done(), len(deltas)) == (False, tokens)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_same_seed_draws_the_same_failures() -> None:
    def draw(seed: int) -> SimulatedChat:
        return simulated(Time(), {"error": "server", "error_rate": 0.5}, seed=seed)

    first, again, other = [await kinds(draw(seed), 20) for seed in (1, 1, 2)]
    assert first == again != other
    assert {"ok", "server"} == set(first)


async def test_usage_is_reported() -> None:
    reply: Reply = await ask(simulated(Time(), tokens=12))
    assert reply.usage is not None
    assert (reply.usage.tokens_in, reply.usage.tokens_out) == (1, 12)

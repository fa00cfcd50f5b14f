"""Each thing that a provider can do wrong: what the caller sees, what is logged, what is asked.

Real parts throughout: the loopback upstream misbehaves, the router classifies, retrieves from an
empty knowledge base, races and logs to SQLite. The same table stands in docs/faults.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from config.models import Settings
from graph.router import Router
from tests.conftest import SettingsFor
from tests.upstream import FAULTS, Behaviour, Upstream

FALLBACK = "The fallback answers."
REST = "and so it goes on."
"""What a model says that obeys when it is asked to go on."""
LIMITS = {"ttft_s": 0.4, "stall_s": 0.3, "deadline_s": 8.0, "late_s": 0.5}


@dataclass(frozen=True)
class Fault:
    """What is expected when the preferred provider shows a fault on every call."""

    name: str
    kind: str | None = None  # the log's error kind; None: the primary answers
    calls: int = 1  # at most so many calls to the faulty provider
    shown: int = 0  # tokens of the primary that reach a live caller before the fault


TABLE = [
    Fault("429 with Retry-After", "rate_limited"),
    Fault("429", "rate_limited"),
    Fault("500", "server", calls=2),
    Fault("503", "server", calls=2),
    Fault("reset", "connection", calls=2),
    Fault("hang before headers", "timeout"),
    Fault("hang after headers", "timeout"),
    Fault("slow first token", "timeout"),
    Fault("cut", "connection", calls=2, shown=40),
    Fault("closed", "connection", calls=2, shown=40),
    Fault("ended early", "connection", calls=2, shown=40),
    Fault("stall", "timeout", shown=20),
    Fault("malformed event", "bad_reply", shown=20),
    Fault("error event", "server", calls=2, shown=20),
    Fault("no DONE"),
    Fault("no finish_reason"),
    Fault("no usage"),
    Fault("context length", "context_length"),
    Fault("401", "auth"),
    Fault("404", "not_found"),
    Fault("empty", "bad_reply"),
    Fault("10 MB", "bad_reply"),
    Fault("wrong content type"),
    Fault("HTML page", "bad_reply"),
    Fault("slow drip", "timeout", shown=1),
    Fault("rejects stream_options", calls=2),
]


@asynccontextmanager
async def routing(settings: Settings) -> AsyncIterator[Router]:
    router = Router(settings)
    try:
        yield router
    finally:
        await router.aclose(late_grace_s=0)


async def ask(router: Router, **options: Any) -> tuple[str, dict[str, Any]]:
    """The text as the caller ends up with it, and the answer."""
    text, answer = "", None
    async for event in router.stream("Is everything well?", **options):
        if event["type"] == "switched":
            text = text[: len(text) - event["discard"]]
        elif event["type"] == "token":
            text += event["text"]
        elif event["type"] == "answered":
            answer = event["answer"]
    assert answer is not None
    return text, answer


def settings_with(settings_for: SettingsFor, upstream: Upstream, **sections: Any) -> Settings:
    upstream.behave("cheap", Behaviour(text=FALLBACK, ttft_s=0.02))
    priorities = {name: ["first"] for name in ("technical", "creative", "general")}
    return settings_for(upstream, priorities=priorities, limits=LIMITS, **sections)


@pytest.mark.parametrize("fault", TABLE, ids=lambda fault: fault.name)
async def test_fault_costs_the_caller_neither_the_answer_nor_its_wholeness(
    fault: Fault, upstream: Upstream, settings_for: SettingsFor
) -> None:
    upstream.behave("first", FAULTS[fault.name])
    async with routing(settings_with(settings_for, upstream)) as router:
        text, answer = await ask(router)
        assert answer["success"]
        assert text == answer["text"]
        if fault.kind is None:
            assert (answer["role"], text.split()[0]) == ("primary", "word0")
        else:
            assert (answer["role"], text) == ("fallback", FALLBACK)
        assert 1 <= len(upstream.calls("first")) <= fault.calls
        assert len(upstream.calls("cheap")) <= 1
        await assert_logged(router, fault)
        await assert_healthy_afterwards(router, upstream)


@pytest.mark.parametrize("fault", TABLE, ids=lambda fault: fault.name)
async def test_fault_in_a_live_stream_is_continued_never_replaced(
    fault: Fault, upstream: Upstream, settings_for: SettingsFor
) -> None:
    upstream.behave("first", FAULTS[fault.name])
    settings = settings_with(settings_for, upstream)
    upstream.behave("cheap", Behaviour(text=REST, ttft_s=0.02))
    async with routing(settings) as router:
        text, answer = await ask(router, rewindable=False)
        assert answer["success"]
        assert text == answer["text"]
        if fault.kind is not None:
            # A reset may overtake the last tokens before it.
            before = text.removesuffix(REST).split()
            assert text.endswith(f" {REST}" if before else REST)
            assert before == [f"word{i}" for i in range(len(before))]
            assert fault.shown - 20 <= len(before) <= fault.shown
        await assert_logged(router, fault)


async def assert_logged(router: Router, fault: Fault) -> None:
    (row,) = await router.services.log.recent(1)
    primaries = [a for a in row["attempts"] if a["role"] == "primary"]
    assert row["success"]
    assert row["fallback_used"] == (fault.kind is not None)
    assert [a["served"] for a in row["attempts"]].count(True) == 1
    assert primaries[-1]["error"] == fault.kind
    if fault.name == "no usage":
        assert primaries[-1]["cost_estimated"]


async def assert_healthy_afterwards(router: Router, upstream: Upstream) -> None:
    """No entry, no task and no running call is left, but for a late primary that is let go."""
    assert router.services.races == {}
    await router.services.late.close(grace_s=0)
    await upstream.until(lambda: upstream.concurrent == 0)


async def test_retry_after_is_honoured_by_the_next_request(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    upstream.behave("first", FAULTS["429 with Retry-After"])
    async with routing(settings_with(settings_for, upstream)) as router:
        await ask(router)
        await ask(router)
        assert len(upstream.calls("first")) == 1
        (row, _) = await router.services.log.recent(2)
        assert [a["outcome"] for a in row["attempts"] if a["role"] == "primary"] == ["skipped"]
        assert row["fallback_used"]


async def test_one_500_then_healthy_is_answered_by_the_primary(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    upstream.behave("first", FAULTS["500"], Behaviour(text="Back again."))
    settings = settings_with(settings_for, upstream)
    upstream.behave("cheap", Behaviour(text=FALLBACK, header_delay_s=0.3))
    async with routing(settings) as router:
        text, answer = await ask(router)
        assert (text, answer["role"], len(upstream.calls("first"))) == ("Back again.", "primary", 2)


@pytest.mark.parametrize("name", ["content filter", "content filter 400"])
async def test_content_filter_is_passed_on_as_the_providers_word(
    name: str, upstream: Upstream, settings_for: SettingsFor
) -> None:
    upstream.behave("first", FAULTS[name])
    settings = settings_with(settings_for, upstream)
    upstream.behave("cheap", Behaviour(text=FALLBACK, header_delay_s=0.3))
    async with routing(settings) as router:
        _, answer = await ask(router)
        assert (answer["success"], answer["error_kind"]) == (False, "content_filter")
        assert len(upstream.calls("first")) == 1


async def test_content_filter_falls_back_where_the_operator_wants_it(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    upstream.behave("first", FAULTS["content filter"])
    settings = settings_with(settings_for, upstream, content_filter="fallback")
    async with routing(settings) as router:
        text, _ = await ask(router)
        assert text == FALLBACK


async def test_an_answer_that_repeats_itself_without_end_is_cut_off(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    upstream.behave("first", FAULTS["endless repetition"])
    async with routing(settings_with(settings_for, upstream)) as router:
        text, answer = await ask(router)
        assert (text, answer["role"]) == (FALLBACK, "fallback")
        (row,) = await router.services.log.recent(1)
        assert [a["error"] for a in row["attempts"] if a["role"] == "primary"] == ["bad_reply"]


async def test_a_fallback_that_rejects_prefill_can_still_go_on_from_a_cut_stream(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    upstream.behave("first", FAULTS["cut"])
    settings = settings_with(settings_for, upstream)
    upstream.behave("cheap", Behaviour(text=REST, rejects=("prefill",)))
    async with routing(settings) as router:
        text, answer = await ask(router, rewindable=False)
        assert text.startswith("word0 word1 ")
        assert text.endswith(f" {REST}")
        assert answer["success"]


async def test_a_provider_that_flaps_is_left_alone_and_taken_back(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    upstream.behave("first", *[FAULTS["503"]] * 6, Behaviour(text="Healthy."))
    settings = settings_with(settings_for, upstream, breaker={"open_s": 0.2, "failures": 3})
    async with routing(settings) as router:
        roles = [(await ask(router))[1]["role"] for _ in range(3)]
        assert roles == ["fallback"] * 3
        assert len(upstream.calls("first")) <= 6
        back = asyncio.get_running_loop().time() + 5
        while (await ask(router))[1]["role"] != "primary":
            assert asyncio.get_running_loop().time() < back


async def test_a_silent_fallback_does_not_hold_up_a_healthy_primary(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    upstream.behave("first", Behaviour(text="Fine."))
    settings = settings_with(settings_for, upstream)
    upstream.behave("cheap", FAULTS["hang before headers"])
    async with routing(settings) as router:
        assert (await ask(router))[0] == "Fine."
        await upstream.until(lambda: upstream.concurrent == 0)


async def test_nothing_outlives_the_deadline(upstream: Upstream, settings_for: SettingsFor) -> None:
    upstream.behave("first", FAULTS["hang before headers"])
    settings = settings_with(settings_for, upstream)
    settings = settings.model_copy(
        update={"limits": settings.limits.model_copy(update={"deadline_s": 0.6})}
    )
    upstream.behave("cheap", FAULTS["hang after headers"])
    async with routing(settings) as router:
        _, answer = await ask(router)
        assert not answer["success"]
        assert "first" in answer["error"]
        await upstream.until(lambda: upstream.concurrent == 0)


async def test_callers_that_leave_leave_nothing_behind(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    upstream.behave("first", FAULTS["hang before headers"])
    settings = settings_with(settings_for, upstream)
    upstream.behave("cheap", FAULTS["hang before headers"])
    async with routing(settings) as router:
        tasks = asyncio.all_tasks()

        async def leave() -> None:
            events = router.stream("Is everything well?")
            async for event in events:
                if event["type"] == "attempt_started":
                    break
            await events.aclose()

        for _ in range(4):
            await asyncio.gather(*(leave() for _ in range(50)))
        await upstream.until(lambda: upstream.concurrent == 0)
        assert router.services.races == {}
        assert len(router.services.late) == 0
        await asyncio.gather(*router._runs._settling)
        assert {t for t in asyncio.all_tasks() - tasks if "follow" not in t.get_name()} == set()

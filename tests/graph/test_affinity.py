"""A conversation stays with whoever holds its prompt cache while that is worth it; virtual time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from config.hosts import Cost
from providers.base import Delta, Message, Usage, cost_usd
from race.conversations import Conversations, Held, saved_usd, thread
from routing.ranking.reward import Observation
from tests.graph.virtual import Call, Played, Scripted, Stage, on_virtual_time


def said(*texts: str) -> list[Message]:
    """A conversation, the user first."""
    return [
        Message(role="assistant" if n % 2 else "user", content=text) for n, text in enumerate(texts)
    ]


def answers(read: int, cached: int = 0) -> Call:
    usage = Usage(read, 100, cached)
    return Call([(200, "answer"), (200, Delta(finish_reason="stop", usage=usage))])


def stage(first: Call, second: Call, *, cached_input: float | None = 0.1, **more: Any) -> Stage:
    """`second` is the better one as far as the log says; `first` is drawn for the first turn."""
    scene = Stage(
        Scripted("first", [first]),
        Scripted("second", [second]),
        Scripted("fallback", [Call([(9_000, "F"), (9_000, "end")])]),
        order=["first", "second"],
        **more,
    )
    price = Cost(input=1, output=1, cached_input=cached_input)
    for provider in scene.services.settings.providers:
        object.__setattr__(provider, "cost", price)
    return scene


async def turns(scene: Stage, *conversations: Sequence[Message], **options: Any) -> list[Played]:
    played = []
    for messages in conversations:
        one = Played()
        asked = dict(options)
        async for event in scene.router.stream(messages=messages, **asked):
            one.take(event)
        played.append(one)
    return played


def preferred(scene: Stage) -> list[str]:
    return [row["preferred"] for row in scene.log.rows]


def better(scene: Stage, by: float) -> None:
    """The log says that the second one's answers are better, by so much reward."""
    quality = {"first": 0.95 - by, "second": 0.95}
    scene.services.routing.ranking.fold(
        Observation(
            time.time() - 600 + n, f"r{n}", 0, "general", name, ttft_ms=200.0, quality=quality[name]
        )
        for n in range(600)
        for name in [("first", "second")[n % 2]]
    )
    scene.services.routing.ranking.settle()


LONG = said("A long story, please.", "Once upon a time …", "Go on.")


def play(by: float, first: Call, **more: Any) -> list[str]:
    async def run() -> list[str]:
        scene = stage(first, answers(20_000), **more)
        await turns(scene, LONG[:1])
        better(scene, by)
        await turns(scene, LONG)
        return preferred(scene)

    return on_virtual_time(run())


def test_it_stays_while_the_cache_saves_more_than_the_other_is_better_by() -> None:
    """20,000 tokens that cost a tenth save $0.018 and 4 s: all that price and waiting can take."""
    assert play(0.1, answers(20_000)) == ["first", "first"]
    assert play(0.5, answers(20_000)) == ["first", "second"]


def test_a_short_conversation_has_little_to_stay_for() -> None:
    assert play(0.1, answers(200)) == ["first", "second"]


def test_without_a_price_of_cached_tokens_only_time_is_saved() -> None:
    assert play(0.1, answers(20_000), cached_input=None) == ["first", "second"]


def test_it_stays_with_the_first_of_the_order_whatever_is_saved() -> None:
    assert play(0.0, answers(10)) == ["first", "first"]


def test_turns_that_stay_carry_no_propensity() -> None:
    async def run() -> tuple[list[float | None], list[object]]:
        scene = stage(answers(20_000), answers(20_000))
        await turns(scene, LONG[:1], LONG)
        found = [row["attempts"][0]["propensity"] for row in scene.log.rows]
        return found, [row["evidence"].get("stays") for row in scene.log.rows]

    propensities, stays = on_virtual_time(run())
    assert propensities[0] is not None
    assert propensities[1] is None
    assert stays == [None, "first"]


def test_a_host_that_finds_nothing_in_its_cache_is_not_stayed_with_for_it() -> None:
    """It is believed to have cached the prompt until its usage says otherwise."""

    async def run() -> list[float]:
        known = Conversations(600.0, asyncio.get_running_loop().time)
        expected = []
        for n in range(1, 8):
            turn = thread("", "s", said(*["x"] * n))
            held = known.holder(turn)
            expected.append(known.cached(held) if held else 0.0)
            known.remember(turn, "first", Usage(1_000, 0, 0))
        return expected

    found = on_virtual_time(run())
    assert found[0] == 0.0
    assert found[1] == 1_000
    assert found[-1] < 500


# -- what a conversation is --------------------------------------------------------------------


def holder(first: Sequence[Message], then: Sequence[Message], **names: Any) -> Held | None:
    known = Conversations(600.0)
    one, other = names.get("callers", ("", ""))
    a, b = names.get("sessions", (None, None))
    known.remember(thread(one, a, first), "first", Usage(1_000, 10))
    return known.holder(thread(other, b, then))


def test_its_first_messages_name_it_where_nobody_else_does() -> None:
    assert holder(LONG[:1], LONG)
    system = Message(role="system", content="Be brief.")
    assert holder([system, *LONG[:1]], [system, *LONG])
    assert not holder(LONG[:1], [system, *LONG])
    assert not holder(LONG[:1], said("Another story.", "Well …", "Go on."))


def test_the_conversations_of_one_caller_are_no_others() -> None:
    assert not holder(LONG[:1], LONG, callers=("key a", "key b"))
    assert not holder(LONG[:1], LONG, callers=("a", "b"), sessions=("1", "1"))
    assert holder(LONG[:1], said("Quite different."), sessions=("1", "1"))


def test_examples_at_the_head_of_every_prompt_are_no_conversation() -> None:
    """Few-shot programs would otherwise stay with one provider for ever."""
    shots = said("2+2?", "4", "3+3?", "6")
    assert not holder([*shots, *said("4+4?")], [*shots, *said("5+5?")])


def test_it_is_forgotten_after_its_time() -> None:
    async def run() -> Held | None:
        known = Conversations(600.0, asyncio.get_running_loop().time)
        known.remember(thread("", "s", LONG), "first", None)
        assert known.holder(thread("", "s", LONG)) is not None
        await asyncio.sleep(601)
        return known.holder(thread("", "s", LONG))

    assert on_virtual_time(run()) is None


def test_without_a_time_to_live_nothing_is_kept() -> None:
    known = Conversations(0.0)
    known.remember(thread("", "s", LONG), "first", None)
    assert known.holder(thread("", "s", LONG)) is None


# -- prices --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cached_input", "usd"), [(None, 1_100e-6), (0.25, 650e-6), (0.0, 500e-6), (1.0, 1_100e-6)]
)
def test_cached_tokens_cost_what_the_host_asks_for_them(
    cached_input: float | None, usd: float
) -> None:
    price = Cost(input=1, output=1, cached_input=cached_input)
    assert cost_usd(price, Usage(1_000, 100, 600)) == pytest.approx(usd)


def test_the_row_of_an_attempt_is_priced_so() -> None:
    async def run() -> float:
        scene = stage(answers(1_000, cached=600), answers(1_000))
        await turns(scene, LONG[:1])
        return float(scene.log.rows[0]["attempts"][0]["cost_usd"])

    assert on_virtual_time(run()) == pytest.approx((400 + 60 + 100) / 1e6)


def test_what_is_saved_is_unknown_without_the_price_of_cached_tokens() -> None:
    assert saved_usd(1_000, None) == saved_usd(1_000, Cost(input=1, output=1)) == 0.0
    assert saved_usd(1_000, Cost(input=1, output=1, cached_input=0.1)) == pytest.approx(0.0009)

"""Every reply of the catalogue, at the border, in process and over HTTP, whole and live."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import pytest

from config.errors import NoAnswerError
from graph.router import Router
from tests.api.conftest import Service
from tests.providers.conftest import ask as ask_provider
from tests.upstream import Behaviour, Upstream
from tests.wall.catalogue import CASES
from tests.wall.replies import ANSWER, Case

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
QUESTION = "Is everything well?"
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@dataclass
class Got:
    """What a caller ends up with."""

    text: str
    finish: str | None = None
    error: str | None = None


async def in_process(router: Router, case: Case) -> Got:
    try:
        answer = await router.answer(QUESTION, options=case.options)
    except NoAnswerError as failed:
        return Got("", error=getattr(failed.answer, "error_kind", None))
    return Got(answer.text, answer.finish_reason or "stop")


async def live(router: Router, case: Case) -> Got:
    text, answer = "", None
    async for event in router.stream(QUESTION, rewindable=False, options=case.options):
        if event["type"] == "switched":
            assert event["discard"] == 0
        elif event["type"] == "token":
            text += event["text"]
        elif event["type"] == "answered":
            answer = event["answer"]
    assert answer is not None
    if answer["success"]:
        assert answer["text"] == text
    return Got(text, answer["finish_reason"] or "stop", answer["error_kind"])


DETAILS = ("prompt_tokens_details", "completion_tokens_details")


async def over_http(service: Service, case: Case) -> Got:
    body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}], **case.options}
    reply = await service.http.post("/v1/chat/completions", json=body)
    given = reply.json()
    if reply.status_code != 200:
        return Got("", error=given["error"]["code"])
    usage = given["usage"]
    details = [usage.pop(name, {}) for name in DETAILS]
    counts = [count for one in (usage, *details) for count in one.values()]
    assert all(isinstance(count, int) and count >= 0 for count in counts)
    choice = given["choices"][0]
    return Got(choice["message"]["content"], choice["finish_reason"])


async def streamed(service: Service, case: Case) -> Got:
    """By the events alone: an answer that looks whole has a finish_reason and `[DONE]`."""
    body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}], **case.options}
    reply = await service.http.post("/v1/chat/completions", json={**body, "stream": True})
    if reply.status_code != 200:
        return Got("", error=reply.json()["error"]["code"])
    got, done = Got(""), False
    for line in reply.text.splitlines():
        if line == "data: [DONE]":
            done = True
        elif line.startswith("data: "):
            event = json.loads(line.removeprefix("data: "))
            if "error" in event:
                got.error = event["error"]["code"]
            for choice in event.get("choices", ()):
                got.text += choice["delta"].get("content") or ""
                got.finish = choice["finish_reason"] or got.finish
    assert done == (got.error is None)
    assert (got.finish is not None) == done
    return got


WAYS = {"whole": in_process, "live": live, "http": over_http, "stream": streamed}


def assert_right(case: Case, got: Got, *, live: bool) -> None:
    if case.error == "content_filter":
        assert got.error == "content_filter"
        assert got.text == (case.shown if live else "")
    elif case.says is None:
        assert (got.text, got.error) == (ANSWER, None)
    else:
        assert (got.text, got.error, got.finish) == (case.says, None, case.finish)


@each_case
async def test_the_border_reads_it_for_what_it_is(
    case: Case, router: Router, wall: Upstream
) -> None:
    """The provider alone: text, thoughts, end and counts, or the kind of its failure."""
    if case.ending == "silence" and case.error:
        pytest.skip("silence is for the race to end")
    wall.behave("first", case.behaviour())
    reply = await ask_provider(router.services.providers.get("first"))
    assert reply.reasoning == case.reasoning
    if case.error is None:
        assert (reply.text, reply.error, reply.finish_reason or "stop") == (
            case.says,
            None,
            case.finish,
        )
        counts = (reply.usage.tokens_in, reply.usage.tokens_out) if reply.usage else None
        assert counts == case.usage
        return
    assert reply.error is not None
    assert (reply.text, reply.error.kind) == (case.shown, case.error)
    assert case.detail in str(reply.error)


@each_case
@pytest.mark.parametrize("way", WAYS)
async def test_the_caller_gets_a_whole_answer_or_an_error(
    case: Case, way: str, router: Router, service: Service, wall: Upstream
) -> None:
    wall.behave("first", case.behaviour())
    begun = time.monotonic()
    asked: Any = service if way in ("http", "stream") else router
    got = await WAYS[way](asked, case)
    assert_right(case, got, live=way in ("live", "stream"))
    if case.within_s:
        assert time.monotonic() - begun < case.within_s
    assert 1 <= len(wall.calls("first")) <= case.calls
    if way == "whole":
        await assert_logged(case, router)
        assert_breaker(case, router)


async def assert_logged(case: Case, router: Router) -> None:
    (row,) = await router.services.log.recent(1)
    attempts = [a for a in row["attempts"] if a["role"] == "primary"]
    last = attempts[-1]
    assert last["error"] == case.error
    assert case.detail in (last["detail"] or "")
    if case.error is None:
        assert (last["outcome"], last["served"]) == ("ok", True)
        assert last["cost_estimated"] == (case.usage is None)
        if case.usage:
            assert (last["tokens_in"], last["tokens_out"]) == case.usage
    else:
        assert not last["served"]
    assert all((a["cost_usd"] or 0) >= 0 and (a["tokens_out"] or 0) >= 0 for a in row["attempts"])


def assert_breaker(case: Case, router: Router) -> None:
    routing = router.services.routing
    assert routing.states()["first"] == case.breaker
    if case.wait_s is not None:
        retry_at = routing.breakers["first"].retry_at
        assert retry_at is not None
        assert retry_at - time.monotonic() == pytest.approx(case.wait_s, abs=2.0)


async def test_a_word_that_nobody_knows_is_named_in_health(
    router: Router, service: Service, wall: Upstream
) -> None:
    case = next(c for c in CASES if "unknown finish_reason" in c.name)
    wall.behave("first", case.behaviour())
    await router.answer(QUESTION)
    health = (await service.http.get("/health")).json()
    assert any("gone_fishing" in problem for problem in health["problems"])
    assert any("finish_reasons" in problem for problem in health["problems"])


async def test_five_refusals_of_one_callers_parameter_leave_the_provider_to_the_others(
    router: Router, wall: Upstream
) -> None:
    wall.behave("first", Behaviour(rejects=("stop",), text="Well."))
    for _ in range(5):
        assert (await router.answer(QUESTION, options={"stop": ["END"]})).text == ANSWER
    assert (await router.answer(QUESTION)).text == "Well."


async def test_a_host_that_named_its_time_is_skipped_until_then(
    router: Router, wall: Upstream
) -> None:
    case = next(c for c in CASES if c.wait_s == 52.0)
    wall.behave("first", case.behaviour())
    await router.answer(QUESTION)
    assert (await router.answer(QUESTION)).text == ANSWER
    assert len(wall.calls("first")) == 1
    (row,) = await router.services.log.recent(1)
    assert [a["outcome"] for a in row["attempts"] if a["role"] == "primary"] == ["skipped"]


async def test_when_everybody_is_busy_the_caller_learns_for_how_long(
    router: Router, service: Service, wall: Upstream
) -> None:
    wall.behave("first", Behaviour(status=429, headers={"retry-after": "30"}))
    wall.behave("cheap", Behaviour(status=429, headers={"retry-after": "40"}))
    try:
        body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}]}
        replies = [await service.http.post("/v1/chat/completions", json=body) for _ in range(5)]
    finally:
        wall.behave("cheap", Behaviour(text=ANSWER, ttft_s=0.01))
    assert {reply.status_code for reply in replies} == {503}
    assert all(28 <= int(reply.headers["retry-after"]) <= 30 for reply in replies)
    assert (len(wall.calls("first")), len(wall.calls("cheap"))) == (1, 1)


async def test_a_losing_fallback_whose_counts_cannot_be_true_costs_nothing(
    router: Router, wall: Upstream
) -> None:
    negative = next(c for c in CASES if c.name == "a negative count")
    wall.behave("first", Behaviour(text="Well.", ttft_s=0.15))
    wall.behave("cheap", negative.behaviour())
    try:
        answers = await asyncio.gather(*(router.answer(QUESTION) for _ in range(5)))
    finally:
        wall.behave("cheap", Behaviour(text=ANSWER, ttft_s=0.01))
    assert {answer.text for answer in answers} == {"Well."}

"""More words to stop at than hosts take: an answer ends at each of them all the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from providers.base import DEFAULT_OPTIONS, CallOptions, Delta, Message, ToolCallDelta, Usage
from providers.stopping import SENT, stream
from tests.api.conftest import Service
from tests.upstream import Behaviour, Upstream

WORDS = ["<a>", "<b>", "<c>", "<d>", "</code> end", "<e>"]
ASKED: list[dict[str, str]] = [{"role": "user", "content": "Complete it."}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": ASKED, "stop": WORDS},
    "/v1/completions": {"prompt": "Complete it.", "stop": WORDS},
    "/v1/messages": {"messages": ASKED, "stop_sequences": WORDS, "max_tokens": 99},
}


def texts(reply: httpx.Response) -> tuple[str, set[str]]:
    """What a stream said in any dialect, and why it ended."""
    said, reasons = "", set()
    for line in reply.text.splitlines():
        if not line.startswith("data: {"):
            continue
        event = json.loads(line[6:])
        delta = event.get("delta") or {}
        said += delta.get("text") or ""
        reasons.add(delta.get("stop_reason"))
        for choice in event.get("choices") or ():
            said += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
            reasons.add(choice.get("finish_reason"))
    return said, reasons - {None}


@pytest.mark.parametrize("path", BODIES)
async def test_an_answer_ends_before_a_word_that_its_host_was_not_sent(
    path: str, service: Service, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text="one </code> two </code> end and more", endless=True))
    reply = await service.http.post(path, json={"model": "auto", **BODIES[path], "stream": True})
    assert texts(reply) == ("one </code> two ", {"end_turn" if "messages" in path else "stop"})
    assert upstream.calls("first")[0].body["stop"] == WORDS[:SENT]
    await upstream.until(lambda: upstream.aborted == 1)


async def test_a_whole_answer_ends_there_too_and_is_counted(
    service: Service, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text="one two <e> three"))
    path = "/v1/chat/completions"
    done = (await service.http.post(path, json={"model": "auto", **BODIES[path]})).json()
    [choice] = done["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one two ", "stop")
    assert done["usage"]["completion_tokens"] > 0
    assert done["router"]["attempts"][0]["outcome"] == "ok"


class Speaks:
    """A provider that says what it is given."""

    name = model = host = "one"
    simulated = False

    def __init__(self, *deltas: Delta) -> None:
        self._deltas = deltas
        self.closed = False

    async def stream(
        self, messages: Sequence[Message], options: CallOptions = DEFAULT_OPTIONS
    ) -> AsyncIterator[Delta]:
        try:
            for delta in self._deltas:
                yield delta
        finally:
            self.closed = True

    async def models(self) -> list[str]:
        return [self.model]

    async def close(self) -> None:
        pass


async def heard(*deltas: Delta, words: Sequence[str] = WORDS) -> list[Delta]:
    provider = Speaks(*deltas)
    found = [d async for d in stream(provider, [], CallOptions(stop=tuple(words)))]
    assert provider.closed
    return found


END = Delta(finish_reason="stop")


@pytest.mark.parametrize("size", range(1, 12))
async def test_how_a_text_is_cut_into_pieces_changes_nothing(size: int) -> None:
    text = "if <x> </code> endless <e>"
    pieces = [Delta(text=text[at : at + size]) for at in range(0, len(text), size)]
    found = await heard(*pieces, END)
    assert "".join(delta.text for delta in found) == "if <x> "
    assert found[-1] == END
    first_complete = await heard(*(Delta(text=c) for c in "xaby"), words=[*"1234", "abz", "b"])
    assert "".join(delta.text for delta in first_complete) == "xa"


async def test_the_beginning_of_a_word_that_never_comes_is_shown_before_what_follows() -> None:
    call = Delta(tool_calls=(ToolCallDelta(0, "c", "f", "{}"),))
    begun, counted = Delta(text="see </code> en"), Delta(usage=Usage(3, 4))
    assert await heard(begun, END, counted) == [begun, END, counted]
    assert await heard(begun, call, END) == [begun, call, END]
    assert await heard(begun) == [begun]
    assert await heard(thought := Delta(reasoning="<e>"), END) == [thought, END]


async def test_log_probabilities_end_with_their_text() -> None:
    def measured(word: str) -> list[Delta]:
        chance: Any = {"token": word, "logprob": -1.0, "bytes": None, "top_logprobs": []}
        return [Delta(logprobs=(chance,)), Delta(text=word)]

    found = await heard(*measured("one "), *measured("<"), *measured("e>"), END)
    assert [c["token"] for delta in found for c in delta.logprobs] == ["one "]
    assert [delta.text for delta in found if delta.text] == ["one "]


async def test_who_says_nothing_before_such_a_word_gives_way_at_once(
    service: Service, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text="<e> three"))
    path = "/v1/chat/completions"
    reply = await service.http.post(path, json={"model": "auto", **BODIES[path]})
    first = reply.json()["router"]["attempts"][0]
    assert (first["provider"], first["outcome"], first["error"]) == ("first", "failed", "bad_reply")

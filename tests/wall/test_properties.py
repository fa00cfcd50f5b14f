"""Streams that are cut, split, delayed, duplicated and corrupted at random.

The caller's text is always a provider's whole answer, an honest continuation of what it was shown,
or an error. Corruption is what breaks the form of a stream: a bit that makes another letter of a
letter is nothing that a reader can see.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.answer_reader import AnswerReader
from providers.base import CallOptions, Delta, Message, ProviderError, Usage
from providers.failures import Place
from tests.graph.virtual import Scripted, Stage, on_virtual_time, whole
from tests.wall.replies import DONE, STOP, chunk, event, text, usage

PLACE = Place("first", "host", "http://host/v1")
SENTENCE = "The breaker opens after five failures and stays open for thirty seconds."
WORDS = [f"{word} " for word in SENTENCE.split()[:-1]] + SENTENCE.split()[-1:]
HEALTHY = [chunk({"role": "assistant"}), *map(text, WORDS), STOP,
           usage(prompt_tokens=7, completion_tokens=12), DONE]  # fmt: skip
GARBAGE = [
    b'data: {"choices": [{"delta": {"content": "bro\n\n',
    b"data: \xff\xfe\n\n",
    b": comment\n\n",
    b"event: ping\ndata: {}\n\n",
    b"data:\n\n",
    b"<html>\n\n",
    event({"error": {"message": "gone", "code": 500}}),
    chunk({}, "abort"),
    usage(prompt_tokens=-1, completion_tokens=-1),
]


@dataclass(frozen=True)
class Mangled:
    """A stream in pieces, with the seconds before each, and whether it goes silent at its end."""

    pieces: tuple[tuple[float, bytes], ...]
    silent: bool
    untouched: bool


@st.composite
def streams(draw: st.DrawFn) -> Mangled:
    events = list(HEALTHY)
    corrupted = False
    for at in draw(st.lists(st.integers(0, len(events) - 1), max_size=2)):
        events.insert(at, draw(st.sampled_from(GARBAGE)))
        corrupted = True
    if draw(st.booleans()) and not corrupted:
        at = draw(st.integers(1, len(events) - 1))
        broken = bytearray(events[at])
        broken[draw(st.integers(6, len(broken) - 3))] = 0xFF
        events[at] = bytes(broken)
        corrupted = True
    if draw(st.booleans()):
        events[len(WORDS) + 1 : len(WORDS) + 1] = draw(
            st.lists(
                st.sampled_from([STOP, usage(prompt_tokens=7, completion_tokens=12)]), max_size=2
            )
        )
    together = b"".join(events)
    cut = draw(st.none() | st.integers(0, len(together)))
    together = together[:cut]
    pieces, at = [], 0
    while at < len(together):
        size = draw(st.integers(1, 400))
        delay = draw(st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.4, 1.2]))
        pieces.append((delay, together[at : at + size]))
        at += size
    silent = cut is not None and draw(st.booleans())
    return Mangled(tuple(pieces), silent, not corrupted and cut is None)


class Wire(Scripted):
    """A provider whose bytes pass the border."""

    def __init__(self, stream: Mangled) -> None:
        super().__init__("primary", [])
        self.wire = stream

    async def stream(
        self, messages: Sequence[Message], options: CallOptions | None = None
    ) -> AsyncIterator[Delta]:
        self.calls.append(list(messages))
        reader = AnswerReader(PLACE)
        for delay, piece in self.wire.pieces:
            await asyncio.sleep(delay)
            for delta in reader.feed(piece):
                yield delta
            if reader.over:
                break
        if self.wire.silent and not reader.over:
            await asyncio.Event().wait()
        for delta in reader.end():
            yield delta


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams(), st.booleans())
def test_a_mangled_stream_is_a_whole_answer_a_continuation_or_an_error(
    stream: Mangled, rewindable: bool
) -> None:
    async def play() -> None:
        helper = Scripted("fallback", [whole(300, SENTENCE)])
        stage = Stage(Wire(stream), helper, ttft_s=1.0, stall_s=1.0, deadline_s=20.0)
        played = await stage.play(rewindable=rewindable)
        answer = played.answer
        if answer["success"]:
            assert played.text == answer["text"] == SENTENCE
        else:
            assert not rewindable
            assert SENTENCE.startswith(played.text)
        await stage.router.aclose(0)

    on_virtual_time(play())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(streams())
def test_the_border_gives_all_of_an_answer_or_fails(stream: Mangled) -> None:
    reader, said = AnswerReader(PLACE), ""
    counted: list[Usage] = []
    try:
        for _, piece in stream.pieces:
            for delta in reader.feed(piece):
                said += delta.text
                counted += [delta.usage] if delta.usage else []
        for delta in reader.end():
            said += delta.text
            counted += [delta.usage] if delta.usage else []
    except ProviderError:
        assert not stream.untouched
        assert SENTENCE.startswith(said)
        return
    assert said == SENTENCE
    assert all(u.tokens_in > 0 and u.tokens_out >= 0 for u in counted)

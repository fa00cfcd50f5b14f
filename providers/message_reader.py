"""Turns the chunks of one answer into checked deltas: new text, reasoning, tool calls, the end."""

from __future__ import annotations

from collections.abc import Iterator

from config.hosts import FinishMeaning
from providers.base import Delta, ProviderError, Usage
from providers.chunk import Bounds, content_of, logprobs_of, number, reasoning_of, usage_of
from providers.failures import Place
from providers.finish import FinishWords
from providers.text_stream import (
    UNOPENED,
    BrokenTextError,
    Characters,
    Thoughts,
    ends_unopened,
)
from providers.tool_calls import MOST_CALLS, ToolCalls

MAX_ANSWER_CHARACTERS = 4 * 2**20
"""A longer answer, reasoning included, counts as a runaway: `bad_reply`."""

_PLAIN_EVENT = frozenset({"error", "errors"})
_PLAIN_CHOICE = frozenset({"error", "message", "usage"})
"""Members that a plain chunk does not have."""
_PLAIN_DELTA = frozenset({"role", "content"})

_CALLS = "tool_calls"

REPEATED_CHARACTERS = 10
"""Minimum length of a delta that equals all text before it to count as a repetition of it."""


class MessageReader:
    """One growing message.

    `finished` while a finish_reason is the last thing received, `whole` once all of it came in one
    object; `progress` increases with each chunk that is part of the answer.
    """

    def __init__(
        self,
        place: Place,
        words: FinishWords,
        bounds: Bounds,
        *,
        tools: bool,
        thinks_first: bool = False,
    ) -> None:
        """`tools`: tools may be called, so tool calls alone make a complete answer. `thinks_first`:
        this model's answers begin inside a thought."""
        self.finished = False
        self.whole = False
        self.progress = 0
        self._place = place
        self._words = words
        self._bounds = bounds
        self._tools = tools
        self._finish_reason: FinishMeaning | None = None
        self._usage: Usage | None = None
        self._said: list[str] = []
        self._said_length = 0
        self._held = ""
        self._by_delta = False
        self._has_text = False
        self._calls = ToolCalls()
        self._characters = Characters()
        self._thoughts = Thoughts(begun=thinks_first)
        self._unopened_later = False
        self._length = 0

    @property
    def complete(self) -> bool:
        """Whether the answer has content and has ended: whatever follows cannot spoil it."""
        return self.finished and (self._has_text or bool(self._calls))

    @property
    def thinks_first(self) -> bool:
        """Whether this answer began inside a thought whose opening mark stood in the prompt.

        That shows at the thought's end, when its beginning has often been passed on as text.
        """
        return self._unopened_later or self._thoughts.unopened

    def plain(self, event: object) -> str | None:
        """Fast path, at a third of the cost: the text of a chunk that contains nothing else, as
        nearly all do. None: use `read`."""
        if type(event) is not dict or not _PLAIN_EVENT.isdisjoint(event) or event.get("usage"):
            return None
        choices = event.get("choices")
        choice = choices[0] if type(choices) is list and len(choices) == 1 else None
        if type(choice) is not dict or not _PLAIN_CHOICE.isdisjoint(choice):
            return None
        delta = choice.get("delta")
        if (
            choice.get("index")
            or choice.get("finish_reason") is not None
            or choice.get("logprobs")
            or type(delta) is not dict
        ):
            return None
        content = delta.get("content")
        if type(content) is not str or not content or not _PLAIN_DELTA.issuperset(delta):
            return None
        if self._held or not self._thoughts.over or ">" in content or self._repeats(content):
            return None
        self.progress += 1
        self.finished, self._by_delta = False, True
        self._said.append(content)
        self._said_length += len(content)
        try:
            text = self._characters.feed(content)
        except BrokenTextError:
            raise self._malformed() from None
        self._count(text)
        self._has_text = self._has_text or bool(text.strip())
        return text

    def read(self, event: dict[str, object]) -> Iterator[Delta]:
        """The deltas of one chunk or of a whole completion; raises ProviderError."""
        choices = event.get("choices")
        if choices is None and (wrapped := _wrapped(event)) is not None:
            event, choices = wrapped, wrapped["choices"]
        usage = usage_of(event, self._bounds)
        self._usage = usage or self._usage
        if not choices:
            if choices is None and usage is None and event.get("object") == "chat.completion.chunk":
                raise self._malformed()
            return
        choice = _first(choices)
        if not isinstance(choice, dict):
            raise self._malformed()
        if isinstance(index := choice.get("index"), int) and index > 0:
            return  # a second answer that was not requested
        self._usage = usage_of(choice, self._bounds) or self._usage
        try:
            yield from self._choice(choice)
        except BrokenTextError:
            raise self._malformed() from None
        self.whole = event.get("object") == "chat.completion" and "message" in choice

    def end(self) -> Iterator[Delta]:
        """Text held back, and the usage; raises ProviderError if the answer is empty."""
        if self._thoughts.unopened and self._thoughts.open and self._finish_reason == "stop":
            self._thoughts = Thoughts()  # it did not think this time: all of it is the answer
            yield from self._text("".join(self._said))
        elif rest := self._thoughts.rest():
            yield from self._text(rest)
        if self._usage is not None and not (self._usage.tokens_out == 0 and self._has_text):
            yield Delta(usage=self._usage)
        if self._tools and self._calls:
            yield from self._end_of_calls()
            return
        if self._has_text:
            return
        if self._calls:
            what = "called a tool that was not offered"
        elif self._finish_reason == "length":
            what = "used up max_tokens before the answer began; raise max_tokens"
        else:
            what = "sent a complete but empty answer"
        raise self._place.error("bad_reply", what)

    # -- one chunk --------------------------------------------------------------------------------

    def _choice(self, choice: dict[str, object]) -> Iterator[Delta]:
        self.progress += 1
        meaning = self._words.meaning(choice.get("finish_reason"))
        if meaning in ("error", "content_filter"):
            raise self._bad_end(meaning, str(choice["finish_reason"]))
        delta, message = choice.get("delta"), choice.get("message")
        if (delta or not self._by_delta) and (chances := logprobs_of(choice)):
            yield Delta(logprobs=chances)
        if delta or not message:
            self._by_delta = self._by_delta or bool(delta)
            if not delta and (said := choice.get("text")) is not None:
                delta = number(said) or (said if isinstance(said, str) else delta)
            yield from self._part(self._fields(delta), meaning)
        else:
            yield from self._message(self._fields(message), meaning)
        if meaning is not None:
            yield from self._finish(meaning)

    def _fields(self, message: object) -> dict[str, object]:
        if isinstance(message, str):
            return {"content": message}
        if message is None or isinstance(message, dict):
            return message or {}
        raise self._malformed()

    def _part(
        self, delta: dict[str, object], meaning: FinishMeaning | None, *, grown: bool = False
    ) -> Iterator[Delta]:
        """The addition of this chunk. A delta that repeats the whole text is held back until it is
        known whether anything follows, since some hosts send such a one as their last chunk."""
        if reasoning := reasoning_of(delta):
            self._thoughts.elsewhere()
            yield from self._reasoning(self._characters.feed(reasoning))
        content = content_of(delta)
        if content and self._repeats(content):
            self._held = "" if meaning else content
        elif content:
            content, self._held = self._held + content, ""
            yield from self._content(content)
        elif meaning:
            self._held = ""
        if delta.get("tool_calls") or delta.get("function_call"):
            yield from self._calling(delta, grown=grown)

    def _message(
        self, message: dict[str, object], meaning: FinishMeaning | None
    ) -> Iterator[Delta]:
        """A complete message. At the end of a stream it repeats the deltas; some hosts send one in
        each chunk, with everything so far or with the newest part alone."""
        content = content_of(message)
        if self._said and content:
            said = "".join(self._said)
            if content.startswith(said):
                content = content[len(said) :]
            elif self._by_delta:
                content = ""
        elif self._by_delta and self._calls:
            content = ""
        if not self._by_delta:
            yield from self._part({**message, "content": content}, meaning, grown=True)
        elif content:
            yield from self._content(content)
        if meaning:
            self._held = ""

    def _repeats(self, content: str) -> bool:
        return (
            len(content) == self._said_length
            and len(content) >= REPEATED_CHARACTERS
            and (len(self._said) > 1 or " " in content.strip())
            and content == "".join(self._said)
        )

    # -- its parts --------------------------------------------------------------------------------

    def _content(self, content: str) -> Iterator[Delta]:
        self.finished = False
        self._said.append(content)
        self._said_length += len(content)
        if ">" in content and self._thoughts.over and UNOPENED in "".join(self._said[-4:]):
            self._unopened_later = self._unopened_later or ends_unopened("".join(self._said))
        reasoning, text = self._thoughts.feed(self._characters.feed(content))
        yield from self._reasoning(reasoning)
        if text:
            yield from self._text(text)

    def _text(self, text: str) -> Iterator[Delta]:
        self._count(text)
        if not self._has_text and text.strip():
            self._has_text = True
        yield Delta(text)

    def _reasoning(self, reasoning: str) -> Iterator[Delta]:
        if reasoning:
            self.finished = False
            self._count(reasoning)
            yield Delta(reasoning=reasoning)

    def _calling(self, delta: dict[str, object], *, grown: bool) -> Iterator[Delta]:
        before = len(self._calls)
        pieces = self._calls.read(delta, grown=grown)
        if len(self._calls) > MOST_CALLS:
            raise self._malformed()
        if pieces or len(self._calls) > before:
            self.finished = False
            self._count("".join(piece.arguments for piece in pieces))
        if pieces and self._tools:  # otherwise the calls could not be executed
            yield Delta(tool_calls=pieces)

    def _end_of_calls(self) -> Iterator[Delta]:
        """The missing parts of tool calls at the end; raises ProviderError for a call that cannot
        be executed."""
        if self._finish_reason is None and not self._calls.whole:
            raise self._place.error("connection", "cut off a tool call")
        if self._calls.unnamed:
            raise self._place.error("bad_reply", "called a tool without its name")
        if self._finish_reason != "length" and (rest := self._calls.rest()):
            yield Delta(tool_calls=rest)

    def _bad_end(self, meaning: FinishMeaning, word: str) -> ProviderError:
        """Anything else in the chunk with such a finish reason is not part of an answer."""
        if meaning == "content_filter":
            what = "declined the prompt or its own answer by its content filter"
            return self._place.error("content_filter", what)
        return self._place.error("server", "ended its answer with the finish reason", word)

    def _finish(self, meaning: FinishMeaning) -> Iterator[Delta]:
        if meaning == "tool_calls" and not (self._calls and self._tools):
            meaning = "stop"
        before, self._finish_reason = self._finish_reason, meaning
        self.finished = True
        if before != meaning:
            yield Delta(finish_reason=meaning)

    def _count(self, text: str) -> None:
        self._length += len(text)
        if self._length > MAX_ANSWER_CHARACTERS:
            bound = f"{MAX_ANSWER_CHARACTERS // 2**20} MB"
            raise self._place.error("bad_reply", f"sent an answer larger than {bound}")

    def _malformed(self) -> ProviderError:
        return self._place.error("bad_reply", "sent a malformed event in its stream")


def _wrapped(event: dict[str, object]) -> dict[str, object] | None:
    """The completion inside the envelope that some gateways put around everything."""
    held = (event.get(name) for name in ("data", "result", "response", "output"))
    return next((v for v in held if isinstance(v, dict) and v.get("choices")), None)


def _first(choices: object) -> object:
    """The choice with the index 0, wherever it is; the first one if none has an index."""
    if not isinstance(choices, list):
        return None
    ours = [c for c in choices if isinstance(c, dict) and not c.get("index")]
    if not ours:
        return choices[0]
    return ours[0] if len(ours) == 1 else _with_calls(ours[0], ours[1:])


def _with_calls(choice: dict[str, object], others: list[dict[str, object]]) -> dict[str, object]:
    """The choice merged with the tool calls that some gateways send in a second one of the same
    index."""
    said = "delta" if choice.get("delta") or "message" not in choice else "message"
    own = choice.get(said)
    held = next((h for o in others if isinstance(h := o.get(said), dict) and h.get(_CALLS)), None)
    if held is None or not isinstance(own, dict | None) or (own and own.get(_CALLS)):
        return choice
    return {**choice, said: {**(own or {}), _CALLS: held[_CALLS]}}

"""The trust boundary: bytes of one answer in, checked deltas out, in OpenAI's chat-completion
dialect.

Nothing behind it sees a provider's value that was not checked here. ChatOpenAI validates every
chunk through three layers of pydantic, which costs more than the rest of a request together; this
module reads the few fields that make up an answer. `docs/faults.md` lists the deviations of hosts
and how they are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from providers.base import Delta, ProviderError
from providers.chunk import NOT_JSON, Bounds, parsed
from providers.error_reply import error_in_event
from providers.failures import Place, from_event
from providers.finish import FinishWords
from providers.message_reader import MAX_ANSWER_CHARACTERS, MessageReader
from providers.sse import BYTE_ORDER_MARK, EventReader, EventTooLargeError
from providers.vendor_words import ERROR_WORDS

MAX_WIRE_BYTES = 16 * MAX_ANSWER_CHARACTERS
"""Size limit in bytes of the stream around an answer; an event rarely exceeds 300 bytes per
token."""
MAX_JSON_BYTES = 8 * 2**20
"""Size limit in bytes of an answer that comes as one JSON value."""

_END_MARK = re.compile(rb"\s*\"?\[DONE\]", re.IGNORECASE)
_KEEP_ALIVE = re.compile(r"[\w .,:;!?/\-]{0,80}|\[[\w \-]{0,40}\]")
"""Texts that some hosts send as keep-alive events; they cannot hide an answer."""
_HTML = re.compile(rb"<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)


def _stands_alone(line: bytes) -> bool:
    return line.startswith(b"[DONE]") or parsed(line) is not NOT_JSON


class AnswerReader:
    """Reads one answer; `over` once its end mark was read."""

    def __init__(
        self,
        place: Place,
        words: FinishWords | None = None,
        bounds: Bounds | None = None,
        *,
        tools: bool = False,
        thinks_first: bool = False,
    ) -> None:
        """`tools`: tools may be called, so tool calls alone make a complete answer. `thinks_first`:
        this model's answers begin inside a thought."""
        self.over = False
        self._place = place
        self._message = MessageReader(
            place,
            words or FinishWords(place.host),
            bounds or Bounds(),
            tools=tools,
            thinks_first=thinks_first,
        )
        self._events = EventReader()
        self._any_event = False
        self._head: bytes | None = (
            b""  # the first bytes, while there are too few to recognise the format
        )
        self._json: bytearray | None = None  # JSON without events: the part not parsed yet
        self._by_line = True
        self._bytes = 0

    @property
    def finished(self) -> bool:
        """Whether a finish_reason was the last thing received."""
        return self._message.finished

    @property
    def thinks_first(self) -> bool:
        """Whether this answer began inside a thought, see `MessageReader.thinks_first`."""
        return self._message.thinks_first

    @property
    def progress(self) -> int:
        """Increases with each chunk that is part of the answer."""
        return self._message.progress

    def feed(self, chunk: bytes) -> Iterator[Delta]:
        """The deltas completed by this chunk; raises ProviderError.

        Text that arrives together becomes one delta, which saves work when the process lags behind.
        """
        self._bytes += len(chunk)
        if self._bytes > MAX_WIRE_BYTES:
            raise self._too_large()
        text = ""
        try:
            for delta in self._read(chunk):
                if delta.text:
                    text += delta.text
                    continue
                if text:
                    yield Delta(text)
                    text = ""
                yield delta
        except ProviderError:
            if text:
                yield Delta(text)
            raise
        if text:
            yield Delta(text)

    def end(self) -> Iterator[Delta]:
        """The body has ended, or enough of it was read; raises ProviderError unless the answer is
        complete."""
        if not (self.over or self.finished):
            yield from self._last()
        if not (self.over or self.finished):
            raise self._place.error("connection", "cut its answer short: the stream has no end")
        yield from self._message.end()

    # -- bytes to events --------------------------------------------------------------------------

    def _read(self, chunk: bytes) -> Iterator[Delta]:
        if self._head is not None:
            chunk = self._begin(self._head + chunk)
        try:
            if self._json is not None:
                yield from self._lines(chunk)
                return
            for name, data in self._events.feed(chunk):
                yield from self._event(name, data)
        except EventTooLargeError:
            raise self._too_large() from None

    def _begin(self, head: bytes) -> bytes:
        """Recognise the body's format by its first bytes, whatever its content type says; returns
        the part to read."""
        start = head.removeprefix(BYTE_ORDER_MARK).lstrip()
        if not start or BYTE_ORDER_MARK.startswith(head):
            self._head = head
            return b""
        self._head = None
        if start.startswith((b"{", b"[")) and not start.startswith(b"[DONE]"):
            self._json = bytearray()
        elif _HTML.match(start):
            words = re.sub(r"<[^>]*>", " ", start.decode("utf-8", "replace"))
            what = "answered with a page instead of a stream"
            raise self._place.error("bad_reply", what, words, status=200)
        return start

    def _lines(self, chunk: bytes) -> Iterator[Delta]:
        """JSON outside events: one value in total, or one on each line."""
        assert self._json is not None
        self._json += chunk
        if len(self._json) > MAX_JSON_BYTES:
            raise self._too_large()
        while self._by_line and not self.over and (end := self._json.find(b"\n")) >= 0:
            line = bytes(self._json[:end]).strip()
            value = parsed(line)
            if line.startswith(b"[DONE]"):
                self.over = True
            elif isinstance(value, dict):
                yield from self._value(b"", value)
            elif line:
                self._by_line = False
                return
            del self._json[: end + 1]

    def _last(self) -> Iterator[Delta]:
        """Handle the rest of a body whose last event was not terminated."""
        if self._json is not None:
            value = parsed(bytes(self._json))
            if value is NOT_JSON:
                return
            all_at_once = not self.progress
            yield from self._value(b"", value)
            if not self.progress:
                raise self._place.error("bad_reply", "sent an object that is not an answer")
            self.over = self.over or all_at_once
            return
        for name, data in self._events.close():
            if parsed(data) is not NOT_JSON or data.strip() == b"[DONE]":
                yield from self._event(name, data)
        if not self._any_event and self._events.stray:
            words = self._events.stray.decode("utf-8", "replace")
            if ERROR_WORDS.search(words):
                raise from_event(self._place, words)
            what = "answered with text instead of a stream"
            raise self._place.error("bad_reply", what, words)

    # -- events to deltas -------------------------------------------------------------------------

    def _event(self, name: bytes, data: bytes) -> Iterator[Delta]:
        self._any_event = True
        if self.over:
            return
        if _END_MARK.match(data):
            self.over = True
            return
        value = parsed(data)
        if not name and (text := self._message.plain(value)) is not None:
            if text:
                yield Delta(text)
            return
        if value is not NOT_JSON:
            yield from self._value(name, value)
            return
        lines = [line for line in data.split(b"\n") if line.strip()]
        if len(lines) > 1 and all(_stands_alone(line) for line in lines):
            for line in lines:  # events without the blank lines between them
                yield from self._event(name, line)
            return
        words = data.decode("utf-8", "replace")
        half_an_object = words.lstrip().startswith(("{", "[")) and not _KEEP_ALIVE.fullmatch(words)
        if not half_an_object and error_in_event(name, words) is not None:
            self._fail(from_event(self._place, words))
        elif not _KEEP_ALIVE.fullmatch(words):
            self._fail(self._place.error("bad_reply", "sent a malformed event in its stream"))

    def _value(self, name: bytes, value: object) -> Iterator[Delta]:
        """Handle one event's JSON: a part of the answer, an error, or something to skip."""
        if self.over:
            return
        if isinstance(value, list):
            for inner in value:
                yield from self._value(name, inner)
        elif (error := error_in_event(name, value)) is not None:
            self._fail(from_event(self._place, error))
        elif isinstance(value, dict):
            try:
                yield from self._message.read(value)
            except ProviderError as failure:
                self._fail(failure)
            self.over = self.over or self._message.whole

    def _fail(self, error: ProviderError) -> None:
        """Raise the error, unless the answer was already complete, which a later error does not
        affect."""
        if not self._message.complete:
            raise error
        self.over = True

    def _too_large(self) -> ProviderError:
        bound = f"{MAX_ANSWER_CHARACTERS // 2**20} MB"
        return self._place.error("bad_reply", f"sent an answer larger than {bound}")

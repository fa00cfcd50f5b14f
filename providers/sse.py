"""Server-sent events, read as the bytes come in (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

from collections.abc import Iterator

MAX_EVENT_BYTES = 4 * 2**20
"""A single event larger than this is no token of an answer."""


class EventTooLargeError(ValueError):
    """One event passed MAX_EVENT_BYTES."""


class EventReader:
    """Turns chunks of bytes, cut anywhere, into events.

    Yields `(name, data)`; the name is empty unless the server gave one. Lines end in LF, CRLF or
    CR; comments, ids and retry hints are skipped; several data lines are joined by LF.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
        rest = self._rest + chunk
        if b"\r" in rest:
            # A CR at the very end may be half of a CRLF: it waits for the next chunk.
            held = rest[-1:] if rest.endswith(b"\r") else b""
            rest = rest[: len(rest) - len(held)]
            rest = rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held
        lines = rest.split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif not line:
                if self._data:
                    yield self._event()
            elif line.startswith(b"event:"):
                self._name = line[6:].strip()
        if len(self._rest) + sum(map(len, self._data)) > MAX_EVENT_BYTES:
            raise EventTooLargeError

    def close(self) -> Iterator[tuple[bytes, bytes]]:
        """What the last lines hold if the server left out the blank line after them."""
        yield from self.feed(b"\n\n")

    def _event(self) -> tuple[bytes, bytes]:
        event = (self._name, b"\n".join(self._data))
        self._name, self._data = b"", []
        return event

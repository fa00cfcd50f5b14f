"""Server-sent events, parsed as the bytes come in (WHATWG HTML, section 9.2.6).

Beyond the standard, unambiguous deviations of real servers are accepted: JSON on a line of its own
without `data:`, and JSON that continues over lines that are not fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_EVENT_BYTES = 4 * 2**20
"""Size limit in bytes of an event; anything larger is not a token of an answer."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_IGNORED = (b":", b"id:", b"retry:")
_BARE = frozenset({b"data", b"event", b"id", b"retry"})
"""Fields without a value, which have no effect here."""
_OF_JSON = (b"{", b"[", b"}", b"]", b'"', b" ", b"\t")
MAX_STRAY_BYTES = 4096
_FIELD = re.compile(rb"[ \t]*(data|event|error)[ \t]*:[ \t]?(.*)", re.IGNORECASE | re.DOTALL)
"""Names of fields by hosts that ignore the standard; llama.cpp has one for errors."""


class EventTooLargeError(ValueError):
    """An event exceeded MAX_EVENT_BYTES."""


class EventReader:
    """Turns chunks of bytes, split anywhere, into events.

    Yields `(name, data)`; the name is empty unless the server sent one. Lines end in LF, CRLF or
    CR; comments, ids and retry hints are skipped; several data lines are joined by LF, and an event
    without data, or with blank data, is dropped.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._name = b""
        self._data: list[bytes] = []
        self._loose: list[bytes] = []
        self.stray = b""
        """The beginning of lines that are neither fields nor JSON."""

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
        rest = self._rest + chunk
        if b"\r" in rest:
            # A CR at the very end may be half of a CRLF: keep it for the next chunk.
            held = rest[-1:] if rest.endswith(b"\r") else b""
            rest = rest[: len(rest) - len(held)]
            rest = rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held
        lines = rest.split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.startswith(BYTE_ORDER_MARK):
                line = line.replace(BYTE_ORDER_MARK, b"")
            if line.startswith(b"data:"):
                data = line[6:] if line[5:6] == b" " else line[5:]
                self._data.append(data[5:].lstrip() if data.startswith(b"data:") else data)
            elif not line:
                yield from self._dispatch()
            elif line.startswith(b"event:"):
                self._name = line[6:].strip()
            elif self._odd_field(line):
                pass
            elif line.startswith(_OF_JSON):
                self._loose.append(line)
            elif not line.startswith(_IGNORED) and line not in _BARE:
                self._keep_stray(line)
        held_bytes = sum(map(len, self._data)) + sum(map(len, self._loose))
        if len(self._rest) + held_bytes > MAX_EVENT_BYTES:
            raise EventTooLargeError

    def close(self) -> Iterator[tuple[bytes, bytes]]:
        """The last event, if the server omitted the blank line after it."""
        yield from self.feed(b"\n\n")

    def _dispatch(self) -> Iterator[tuple[bytes, bytes]]:
        name, body, loose = self._name, b"\n".join(self._data), self._loose
        self._name, self._data, self._loose = b"", [], []
        if loose:
            together = b"\n".join([body, *loose]).strip()
            if together.startswith((b"{", b"[")):
                body = together
        if (body and not body.isspace()) or b"error" in name:
            yield name, body or b"{}"

    def _odd_field(self, line: bytes) -> bool:
        """Accept a field with spaces around its name, or in capitals."""
        if (field := _FIELD.fullmatch(line)) is None:
            return False
        name, value = field[1].lower(), field[2]
        if name == b"event":
            self._name = value.strip()
            return True
        if name == b"error":
            self._name = name
        self._data.append(value)
        return True

    def _keep_stray(self, line: bytes) -> None:
        if len(self.stray) < MAX_STRAY_BYTES:
            self.stray += line[:MAX_STRAY_BYTES] + b"\n"

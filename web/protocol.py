"""HTTP/1.1 with limits on what precedes a body; uvicorn's own protocol has none."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEADERS = 64 * 2**10
"""Maximum size of the request line and all headers together, in bytes."""
HEADERS_S = 10.0
"""How long they may take, from the connection or from the first byte of a later request."""

LINGER_S = 1.0
"""How long incoming data is discarded, so that the sender sees the refusal instead of a reset."""

FRAMING = 16
"""Maximum overhead in bytes for each byte of a chunked body: chunk sizes, trailers."""

_REFUSALS = {
    408: (b"Request Timeout", f"the headers did not arrive within {HEADERS_S:g} s"),
    431: (
        b"Request Header Fields Too Large",
        f"the request line and headers are larger than {MOST_HEADERS // 2**10} KiB",
    ),
}


class BoundedProtocol(HttpToolsProtocol):
    """Answers 431 to endless headers and 408 to headers that never arrive, then closes.

    A connection without a request is closed silently.
    """

    headers_s = HEADERS_S
    linger_s = LINGER_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._refused = self._begun = False
        self._raw = self._stored = self._body = 0
        self._headers_over = False
        self._limit = self.loop.call_later(self.headers_s, self._refuse, 408)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limit.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._raw += len(data)
        super().data_received(data)
        if self._raw - self._body > MOST_HEADERS + FRAMING * self._body:
            self._refuse(431)

    def on_message_begin(self) -> None:
        self._limit.cancel()
        self._limit = self.loop.call_later(self.headers_s, self._refuse, 408)
        self._begun, self._raw, self._stored, self._body = True, 0, 0, 0
        self._headers_over = False
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._stored += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._headers_over:
            return  # a trailer, which uvicorn takes for a header (RFC 9110, 6.5.1: it must not be)
        self._stored += len(name) + len(value) + 4
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._limit.cancel()
        self._headers_over = True
        if self._stored > MOST_HEADERS:
            self._refuse(431)
        if not self._refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._refused:
            super().on_message_complete()

    def _refuse(self, status: int) -> None:
        if self._refused:
            return
        self._refused = True
        answering = self.cycle is not None and not self.cycle.response_complete
        if self._begun and not answering and not self.transport.is_closing():
            reason, sentence = _REFUSALS[status]
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\n"
                b"content-length: %d\r\nconnection: close\r\n\r\n%s"
                % (status, reason, len(sentence), sentence.encode())
            )
            self.loop.call_later(self.linger_s, self.transport.close)
        else:
            self.transport.close()

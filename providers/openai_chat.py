"""Any host with OpenAI's chat-completion dialect: hosted LLaMAs, vLLM, Ollama, llama.cpp.

The wire format is read here, without a client library: ChatOpenAI spends 8 ms of CPU on a stream of
50 tokens, this 0.6 ms (`python -m benchmarks.stream_cost`). `chat_model` offers the same provider
to LangChain code.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import aiohttp
import orjson

from config.errors import UsageError
from config.hosts import Provider
from providers.answer_reader import MAX_JSON_BYTES, AnswerReader
from providers.base import DEFAULT_OPTIONS, CallOptions, Delta, Message
from providers.capability import refused_capability
from providers.chunk import Bounds
from providers.failures import Place, from_exception, from_response
from providers.finish import FinishWords
from providers.pool import CONNECT_S, CONNECTIONS, Address, Endpoint, Pool, Sending
from providers.request import THOUGHTS, payload, refusals, remembered, without

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

TRAILER_S = 0.5
"""Minimum wait in seconds for usage and the end mark once the answer has a finish reason, and for
the rest of an error page once its status is known."""
TRAILER_GAPS = 3.0
"""The same wait in multiples of the longest gap so far: some hosts send a finish reason too
early."""
TRAILER_MAX_S = 3.0
RESEND_S = 0.25
"""About one round trip: how soon the failure of a reused connection shows."""
MAX_PAGE_BYTES = 2**16
LARGE_BODY_BYTES = 2**19
_MAY_NAME_A_PARAMETER = ("bad_request", "not_found", "server")
_FAILED = (aiohttp.ClientError, asyncio.TimeoutError, OSError)


class OpenAIChat:
    """One model at one host; a ChatProvider of its pool's event loop."""

    simulated = False

    def __init__(self, provider: Provider, pool: Pool, endpoint: Endpoint) -> None:
        self.provider = provider
        self.pool = pool
        self.endpoint = endpoint
        self._chat_model: tuple[Address, BaseChatModel] | None = None

    @property
    def name(self) -> str:
        return self.provider.name

    @property
    def model(self) -> str:
        return self.provider.resolved_model

    @property
    def host(self) -> str:
        return self.provider.host

    async def stream(
        self, messages: Sequence[Message], options: CallOptions = DEFAULT_OPTIONS
    ) -> AsyncIterator[Delta]:
        """See ChatProvider. A model that rejects one of our own parameters is asked once more
        without it, and from then on always without it."""
        address = await self.endpoint.address()
        place = self._place(address)
        thoughts = THOUGHTS in self.pool.host.passes
        wanted = payload(self.provider, messages, options, thoughts=thoughts)
        if self.pool.host.kind == "llama_cpp":
            wanted["return_progress"] = True  # otherwise it would process the whole prompt in vain
        response, bounds = await self._ask(address, place, wanted)
        words = FinishWords(self.host, self.pool.host.finish_reasons, self.pool.unknown_words)
        callable_ = "tools" in wanted and wanted.get("tool_choice") != "none"
        known = self.provider.thinks_first or self.model in self.pool.think_first
        answer = AnswerReader(place, words, bounds, tools=callable_, thinks_first=known)
        pace, whole = _Pace(), False
        try:
            while not answer.over and (chunk := await _next(place, response, pace.give_up_at)):
                for delta in answer.feed(chunk):
                    yield delta
                pace.came(answer.progress, finished=answer.finished)
            for delta in answer.end():
                yield delta
            if answer.over:
                whole = True
                self.pool.keep(response)
        finally:
            if answer.thinks_first:
                self.pool.think_first.add(self.model)
            elif whole:
                self.pool.think_first.discard(self.model)
            if not whole:
                response.close()

    async def models(self) -> list[str]:
        """The ids that `GET /models` lists."""
        address = await self.endpoint.address()
        place = self._place(address)
        response = await self._send(address, place, "/models", None)
        try:
            if response.status != 200:
                page = await _page(response)
                raise from_response(place, response.status, response.headers, page)
            listed = orjson.loads(await _json_body(place, response))
            entries = listed["data"] if isinstance(listed, dict) else listed
            return [str(entry["id"]) for entry in entries]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise place.error("bad_reply", "lists no models at /models") from None
        finally:
            response.close()

    async def close(self) -> None:
        """Close the pool, which this host's other providers in this loop share."""
        await self.pool.close()

    @property
    def chat_model(self) -> BaseChatModel:
        """This provider as a LangChain model, on connections of its own.

        The embedded LLaMA has an address only after `warm` or a first call: raises UsageError
        before.
        """
        address = self.endpoint.known
        if address is None:
            raise UsageError(f"{self.name} is not running yet; warm it before using `chat_model`")
        if self._chat_model is None or self._chat_model[0] != address:
            self._chat_model = (address, _langchain_model(self.provider, address, self.pool))
        return self._chat_model[1]

    def _place(self, address: Address) -> Place:
        key_env = self.pool.host.api_key_env
        return Place(self.name, self.host, address.base_url, address.key, key_env)

    async def _ask(
        self, address: Address, place: Place, wanted: dict[str, object]
    ) -> tuple[aiohttp.ClientResponse, Bounds]:
        """The response to a chat request, ready for reading, and the upper bounds of its usage."""
        refused = self.pool.refusals.get(self.model, frozenset())
        while True:
            sent = without(wanted, refused)
            body = orjson.dumps(sent)
            response = await self._send(address, place, "/chat/completions", body)
            if 200 <= response.status < 300:
                return response, Bounds.of(body, _most(wanted))
            try:
                page = await _page(response)
            finally:
                response.close()
            error = from_response(place, response.status, response.headers, page)
            more = refusals(response.status, page, sent) - refused
            if not more or error.kind not in _MAY_NAME_A_PARAMETER:
                lacks = refused_capability(response.status, page, sent)
                if lacks and error.kind in _MAY_NAME_A_PARAMETER:
                    error.kind, error.lacks = "capability", lacks
                raise error
            refused |= more
            known = self.pool.refusals.get(self.model, frozenset())
            self.pool.refusals[self.model] = remembered(known, more)

    async def _send(
        self, address: Address, place: Place, path: str, body: bytes | None
    ) -> aiohttp.ClientResponse:
        """The response once its headers have arrived; GET without a body, POST with one.

        The host may close a kept connection at the moment of writing to it. A request that fails on
        one within RESEND_S is assumed to be such a case and is sent once more; one that fails later
        may have been processed, and billed.
        """
        url = address.base_url + path
        headers = _headers(place, self.pool.host.headers, body)
        method, session = "GET" if body is None else "POST", self.pool.session(url)
        sending, began = Sending(), asyncio.get_running_loop().time()

        async def send() -> aiohttp.ClientResponse:
            return await session.request(
                method,
                url,
                data=_in_pieces(body),
                headers=headers,
                allow_redirects=False,
                trace_request_ctx=sending,
            )

        try:
            try:
                return await send()
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                took_s = asyncio.get_running_loop().time() - began
                if not sending.reused or took_s > RESEND_S:
                    raise
                return await send()
        except aiohttp.ClientConnectorError as error:
            moved = await self.endpoint.address() if self.endpoint.refused() else address
            if moved == address:
                raise from_exception(place, error, started=False) from None
            return await self._send(moved, self._place(moved), path, body)
        except _FAILED as error:
            raise from_exception(place, error, started=False) from None


def _in_pieces(body: bytes | None) -> bytes | io.BytesIO | None:
    """A large body as a file: aiohttp sends it in pieces, with other tasks running between them."""
    return io.BytesIO(body) if body and len(body) > LARGE_BODY_BYTES else body


def _headers(place: Place, declared: dict[str, str], body: bytes | None) -> dict[str, str]:
    headers = {"user-agent": "llm-router", "accept-encoding": "identity", **declared}
    if body is not None:
        headers["content-type"] = "application/json"
    if place.key:
        if not (place.key.isascii() and place.key.isprintable()):
            raise place.error(
                "auth", f"needs a key of plain ASCII characters; correct {place.key_env}"
            )
        headers["authorization"] = f"Bearer {place.key}"
    return headers


def _most(wanted: dict[str, object]) -> int | None:
    most = wanted.get("max_completion_tokens", wanted.get("max_tokens"))
    return most if isinstance(most, int) else None


def _langchain_model(provider: Provider, address: Address, pool: Pool) -> BaseChatModel:
    """ChatOpenAI for that provider, closed together with the pool.

    Without retries or time limits except for connecting, as the provider itself: the caller
    decides. It uses the aiohttp transport because httpx2 needs four times the CPU under load.
    Importing takes 2 s, so this is not on the path of a prompt.
    """
    import httpx2
    from langchain_openai import ChatOpenAI
    from openai import DefaultAioHttpClient
    from pydantic import SecretStr

    timeout = httpx2.Timeout(None, connect=CONNECT_S)
    client = DefaultAioHttpClient(
        timeout=timeout,
        limits=httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=100),
        follow_redirects=False,
    )
    pool.on_close.append(client.aclose)
    return ChatOpenAI(
        model=provider.resolved_model,
        base_url=address.base_url,
        api_key=SecretStr(address.key or "none"),
        default_headers=pool.host.headers or None,
        max_tokens=provider.max_tokens,
        temperature=provider.temperature,
        top_p=provider.top_p,
        extra_body=provider.extra or None,
        max_retries=0,
        timeout=timeout,
        stream_usage=True,
        stream_chunk_timeout=None,
        http_async_client=client,
    )


class _Pace:
    """Decides when an answer with a finish reason but without an end mark counts as complete."""

    def __init__(self) -> None:
        self.give_up_at: float | None = None
        self._loop = asyncio.get_running_loop()
        self._progress = 0
        self._last_at: float | None = None
        self._longest_gap_s = 0.0

    def came(self, progress: int, *, finished: bool) -> None:
        """Something was read; only parts of the answer restart the wait."""
        if progress == self._progress:
            return
        now = self._loop.time()
        if self._last_at is not None:
            self._longest_gap_s = max(self._longest_gap_s, now - self._last_at)
        self._progress, self._last_at = progress, now
        patience_s = min(max(TRAILER_S, TRAILER_GAPS * self._longest_gap_s), TRAILER_MAX_S)
        self.give_up_at = now + patience_s if finished else None


async def _next(place: Place, response: aiohttp.ClientResponse, give_up_at: float | None) -> bytes:
    """The next bytes of the stream; empty at its end, and when a complete answer gets no end
    mark."""
    try:
        if give_up_at is None:
            return await response.content.readany()
        async with asyncio.timeout_at(give_up_at):
            return await response.content.readany()
    except _FAILED as error:
        if give_up_at is not None:
            return b""
        raise from_exception(place, error, started=True) from None


async def _json_body(place: Place, response: aiohttp.ClientResponse) -> bytes:
    """The whole body of a successful response."""
    body = bytearray()
    try:
        while chunk := await response.content.readany():
            body += chunk
            if len(body) > MAX_JSON_BYTES:
                bound = f"{MAX_JSON_BYTES // 2**20} MB"
                raise place.error("bad_reply", f"sent an answer larger than {bound}")
    except _FAILED as error:
        raise from_exception(place, error, started=True) from None
    return bytes(body)


async def _page(response: aiohttp.ClientResponse) -> bytes:
    """As much of an error page as arrives in time, since the status alone already describes the
    error."""
    page = bytearray()
    try:
        async with asyncio.timeout(TRAILER_S):
            while len(page) < MAX_PAGE_BYTES and (chunk := await response.content.readany()):
                page += chunk
    except _FAILED:
        return bytes(page)
    return bytes(page)

"""Every host that speaks OpenAI's chat-completion dialect: hosted LLaMAs, vLLM, Ollama, llama.cpp.

The hot path reads the wire itself (see `answer_reader`); `chat_model` is the same provider as a
LangChain model, on the same connections.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from config.models import Provider
from providers.answer_reader import AnswerReader
from providers.base import DEFAULT_OPTIONS, CallOptions, Delta, Message, ProviderError
from providers.failures import Place, error_object, from_exception, from_response
from providers.pool import CONNECT_S, Address, Endpoint, Pool

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

TRAILER_S = 1.0
"""How long usage and the end mark are waited for once the answer itself is complete."""
LINGER_S = 0.25
"""How long a connection may take to end its body after the end mark before it is closed."""
MAX_BODY_BYTES = 8 * 2**20
_FAILED = (aiohttp.ClientError, asyncio.TimeoutError, OSError)


class OpenAIChat:
    """One model at one host; a ChatProvider of the event loop that its pool belongs to."""

    simulated = False

    def __init__(self, provider: Provider, pool: Pool, endpoint: Endpoint) -> None:
        self.provider = provider
        self.pool = pool
        self.endpoint = endpoint
        self._chat_model: BaseChatModel | None = None

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
        """See ChatProvider. At most one more call follows where a host refuses a parameter."""
        address = await self.endpoint.address()
        place = self._place(address)
        response = await self._ask(address, place, payload(self.provider, messages, options))
        reader, whole = AnswerReader(place), False
        try:
            if _is_json(place, response):
                for delta in reader.whole(await _body(place, response)):
                    yield delta
            while not reader.over:
                chunk = await _next(place, response, reader)
                if not chunk:
                    break
                for delta in reader.feed(chunk):
                    yield delta
            for delta in reader.end():
                yield delta
            whole = True
        finally:
            _let_go(response, whole)

    async def models(self) -> list[str]:
        """The ids that `GET /models` lists."""
        address = await self.endpoint.address()
        place = self._place(address)
        response = await self._send(address, place, "GET", "/models", None)
        try:
            body = await _body(place, response)
        finally:
            response.close()
        if response.status != 200:
            raise from_response(place, response.status, response.headers, body)
        try:
            listed = orjson.loads(body)
            entries = listed["data"] if isinstance(listed, dict) else listed
            return [str(entry["id"]) for entry in entries]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise place.error("bad_reply", "lists no models at /models") from None

    async def close(self) -> None:
        """Close the pool, which other providers of this host and loop share."""
        await self.pool.close()

    @property
    def chat_model(self) -> BaseChatModel:
        """This provider for LangChain code; built on first use, 2 s of imports included.

        For a fixed address only: the embedded LLaMA has none before it runs.
        """
        if self._chat_model is None:
            self._chat_model = _langchain_model(self.provider, self.pool)
        return self._chat_model

    def _place(self, address: Address) -> Place:
        host = self.pool.host
        return Place(self.name, self.host, address.base_url, address.key, host.api_key_env)

    async def _ask(
        self, address: Address, place: Place, wanted: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        refused = self.pool.refusals.get(self.model, frozenset())
        while True:
            body = orjson.dumps(_without(wanted, refused))
            response = await self._send(address, place, "POST", "/chat/completions", body)
            if 200 <= response.status < 300:
                return response
            try:
                text = await _body(place, response)
            finally:
                response.close()
            more = _refused(response.status, text, wanted) - refused
            if not more:
                raise from_response(place, response.status, response.headers, text)
            refused |= more
            self.pool.refusals[self.model] = refused

    async def _send(
        self, address: Address, place: Place, method: str, path: str, body: bytes | None
    ) -> aiohttp.ClientResponse:
        headers = {"accept-encoding": "identity", **self.pool.host.headers}
        if body is not None:
            headers["content-type"] = "application/json"
        if address.key:
            if not (address.key.isascii() and address.key.isprintable()):
                what = f"needs a key of plain letters; mend {place.key_env}"
                raise place.error("auth", what)
            headers["authorization"] = f"Bearer {address.key}"
        url = address.base_url + path
        try:
            session = self.pool.session(url)
            return await session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            )
        except aiohttp.ClientConnectorError as error:
            if self.endpoint.refused():
                moved = await self.endpoint.address()
                if moved != address:
                    return await self._send(moved, place, method, path, body)
            raise from_exception(place, error, started=False) from error
        except _FAILED as error:
            raise from_exception(place, error, started=False) from error


def payload(
    provider: Provider, messages: Sequence[Message], options: CallOptions
) -> dict[str, Any]:
    """The request's body: the provider's settings, then the caller's, which win."""
    chosen: dict[str, Any] = {
        "max_tokens": options.max_tokens or provider.max_tokens,
        "temperature": _first(options.temperature, provider.temperature),
        "top_p": _first(options.top_p, provider.top_p),
        "stop": list(options.stop) or None,
    }
    return {
        "model": provider.resolved_model,
        "messages": with_instructions(provider.instructions, messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in chosen.items() if value is not None},
        **options.extra,
    }


def with_instructions(instructions: str | None, messages: Sequence[Message]) -> list[Message]:
    """The messages with all system messages merged into one, instructions first.

    One and leading, because the chat templates of some models reject a second one.
    """
    system = [m["content"] for m in messages if m["role"] == "system"]
    if instructions:
        system.insert(0, instructions)
    rest = [m for m in messages if m["role"] != "system"]
    if not system:
        return rest
    return [Message(role="system", content="\n\n".join(system)), *rest]


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _without(wanted: dict[str, Any], refused: frozenset[str]) -> dict[str, Any]:
    """The payload without what the model refuses; `max_tokens` under its newer name."""
    kept = {name: value for name, value in wanted.items() if name not in refused}
    if "max_tokens" in refused and "max_tokens" in wanted:
        kept["max_completion_tokens"] = wanted["max_tokens"]
    return kept


def _refused(status: int, body: bytes, wanted: dict[str, Any]) -> frozenset[str]:
    """Which of our own parameters a 400 refuses, so that the call is asked again without it."""
    if status not in (400, 422):
        return frozenset()
    detail = error_object(body)
    words = f"{detail.param} {detail.words}" if detail else body.decode("utf-8", "replace")
    found = set()
    if re.search(r"stream_options|include_usage", words):
        found.add("stream_options")
    if "max_completion_tokens" in words and "max_tokens" in wanted:
        found.add("max_tokens")
    return frozenset(found & wanted.keys())


def _is_json(place: Place, response: aiohttp.ClientResponse) -> bool:
    """Whether the answer is one JSON object rather than a stream; raises ProviderError."""
    given = response.headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    if kind in ("text/event-stream", ""):
        return False
    if kind == "application/json":
        return True
    raise place.error(
        "bad_reply", f"answered with {kind[:60]} instead of a stream", status=response.status
    )


async def _next(place: Place, response: aiohttp.ClientResponse, reader: AnswerReader) -> bytes:
    """The next bytes of the stream; empty at its end, and when a complete answer trails off."""
    try:
        if not reader.finished:
            return await response.content.readany()
        async with asyncio.timeout(TRAILER_S):
            return await response.content.readany()
    except _FAILED as error:
        if reader.finished:
            return b""
        raise from_exception(place, error, started=True) from error


async def _body(place: Place, response: aiohttp.ClientResponse) -> bytes:
    """The whole body; of an error page the first bytes are enough."""
    bound = MAX_BODY_BYTES if response.status == 200 else 2**16
    body = bytearray()
    try:
        while len(body) < bound and (chunk := await response.content.readany()):
            body += chunk
    except _FAILED as error:
        if response.status == 200:
            raise from_exception(place, error, started=True) from error
    if response.status == 200 and len(body) >= bound:
        raise place.error("bad_reply", f"sent an answer larger than {bound // 2**20} MB")
    return bytes(body)


def _let_go(response: aiohttp.ClientResponse, whole: bool) -> None:
    """Close the connection at once, or keep it for the next call if the answer is whole.

    After the end mark the last bytes of the body are often still on their way; aiohttp takes the
    connection back by itself when they come.
    """
    if whole and not response.closed:
        asyncio.get_running_loop().call_later(LINGER_S, response.close)
    else:
        response.close()


def _langchain_model(provider: Provider, pool: Pool) -> BaseChatModel:
    import httpx2
    from langchain_openai import ChatOpenAI
    from openai import DefaultAioHttpClient
    from pydantic import SecretStr

    assert pool.host.url is not None, "the host has no fixed address"
    # Its own connections: the client closes what it is given when it is closed itself.
    http = DefaultAioHttpClient(
        timeout=httpx2.Timeout(None, connect=CONNECT_S),
        limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=100),
        follow_redirects=False,
    )
    return ChatOpenAI(
        model=provider.resolved_model,
        base_url=pool.host.url,
        api_key=pool.host.key or SecretStr("none"),
        default_headers=pool.host.headers or None,
        max_tokens=provider.max_tokens,
        temperature=provider.temperature,
        top_p=provider.top_p,
        max_retries=0,
        timeout=httpx2.Timeout(None, connect=CONNECT_S),
        stream_usage=True,
        stream_chunk_timeout=None,
        http_async_client=http,
    )


__all__ = ["OpenAIChat", "ProviderError", "payload", "with_instructions"]

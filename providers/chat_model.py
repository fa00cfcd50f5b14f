"""A provider as a LangChain chat model, for code written for LangChain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.models import Provider
from providers.pool import CONNECT_S, CONNECTIONS, Address, Pool

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def langchain_model(provider: Provider, address: Address, pool: Pool) -> BaseChatModel:
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

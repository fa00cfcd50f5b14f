"""The providers of a configuration, built on first use."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from config.errors import NotFoundError
from config.hosts import Provider
from config.models import Settings
from providers.base import CallOptions, ChatProvider, Message
from providers.finish import FinishWords

if TYPE_CHECKING:
    from providers.embedded import EmbeddedLlama
    from providers.pool import Pool
    from providers.simulated import Clock, Sleep


@dataclass(eq=False)
class _Loop:
    """The objects bound to one event loop: connections, and the providers that use them."""

    pools: dict[str, Pool] = field(default_factory=dict)
    providers: dict[str, ChatProvider] = field(default_factory=dict)


class Providers:
    """Providers by name, one instance for each event loop, one pool for each host and loop."""

    def __init__(
        self, settings: Settings, *, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.sleep = sleep
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()
        self._llamas: dict[str, EmbeddedLlama] = {}
        self._simulated: dict[str, ChatProvider] = {}
        self.unknown_words: dict[str, set[str]] = {}
        """By host, the finish reasons that are neither configured nor in the vendors' table."""

    def get(self, name: str) -> ChatProvider:
        """The provider of that name, for the running event loop.

        Raises NotFoundError for an unknown name (with the closest match) and for a disabled
        provider (with the reason).
        """
        loop = self._loops.setdefault(asyncio.get_running_loop(), _Loop())
        if name not in loop.providers:
            provider = self._enabled(name)
            kind = self.settings.hosts[provider.host].kind
            loop.providers[name] = FACTORIES[kind](self, provider)
        return loop.providers[name]

    def unavailable(self, name: str) -> str | None:
        """Why an enabled provider cannot be used on this machine, as a sentence; None if it can.

        Cheap: it checks for the embedded LLaMA's weights, and connects to nothing.
        """
        provider = self._enabled(name)
        if self.settings.hosts[provider.host].kind == "llama_cpp":
            return self.llama(provider).available()
        return None

    def shares_embedded(self, a: str, b: str) -> bool:
        """Whether both use the same weights on the embedded LLaMA, so that one slows down the
        other."""
        models = [
            p.resolved_model
            for p in self.settings.providers
            if p.name in (a, b) and self.settings.hosts[p.host].kind == "llama_cpp"
        ]
        return len(models) == len({a, b}) and len(set(models)) == 1

    async def warm(self, names: Sequence[str]) -> None:
        """Start the embedded LLaMAs among these and let them process their instructions once.

        Remote hosts are not called, but the imports and files of a first call to one are loaded.
        Raises ProviderError if a LLaMA cannot be started.
        """
        for name in names:
            host, chat = self.settings.hosts[self._enabled(name).host], self.get(name)
            if host.kind == "llama_cpp":
                messages = [Message(role="user", content="Hello")]
                async for _ in chat.stream(messages, CallOptions(max_tokens=1)):
                    pass
            elif host.kind == "openai" and (host.url or "").startswith("https:"):
                from providers.pool import tls

                await asyncio.to_thread(tls)

    def with_settings(self, settings: Settings) -> Providers:
        """The providers of a new configuration; embedded LLaMAs and simulations keep running."""
        with_settings = Providers(settings, clock=self.clock, sleep=self.sleep)
        with_settings._llamas = self._llamas
        same = {p.name for p in settings.providers if p in self.settings.providers}
        with_settings.unknown_words = {
            name: {
                word
                for word in words
                if FinishWords(name, settings.hosts[name].finish_reasons).meaning(word) == "error"
            }
            for name, words in self.unknown_words.items()
            if name in settings.hosts
        }
        with_settings._simulated = {name: p for name, p in self._simulated.items() if name in same}
        return with_settings

    async def close_pools(self) -> None:
        """Close only the running loop's connections; the rest is passed on by `with_settings`."""
        loop = self._loops.pop(asyncio.get_running_loop(), None)
        if loop is not None:
            for pool in loop.pools.values():
                await pool.close()

    async def close(self) -> None:
        """Close the running loop's connections and release the embedded LLaMA.

        Call it in each loop that used providers, since a pool cannot be closed from another one.
        Anything used again afterwards reopens.
        """
        loop = self._loops.get(asyncio.get_running_loop())
        for pool in loop.pools.values() if loop is not None else ():
            await pool.close()
        for llama in self._llamas.values():
            await llama.stop()

    def pool(self, host: str) -> Pool:
        """The running loop's connections to a host."""
        from providers.pool import Pool

        pools = self._loops.setdefault(asyncio.get_running_loop(), _Loop()).pools
        if host not in pools:
            words = self.unknown_words.setdefault(host, set())
            pools[host] = Pool(host, self.settings.hosts[host], unknown_words=words)
        return pools[host]

    def llama(self, provider: Provider) -> EmbeddedLlama:
        """The embedded LLaMA that serves this provider's model; not necessarily started."""
        from providers.embedded import EmbeddedLlama

        model = provider.resolved_model
        if model not in self._llamas:
            self._llamas[model] = EmbeddedLlama(model, self.settings.data_dir)
        return self._llamas[model]

    def simulated(self, provider: Provider) -> ChatProvider:
        """One for all loops: its script counts every request."""
        from providers.simulated import SimulatedChat

        if provider.name not in self._simulated:
            self._simulated[provider.name] = SimulatedChat(
                provider, clock=self.clock, sleep=self.sleep
            )
        return self._simulated[provider.name]

    def _enabled(self, name: str) -> Provider:
        try:
            provider = self.settings.provider(name)
        except KeyError:
            names = [provider.name for provider in self.settings.providers]
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(names)}"
            raise NotFoundError(f"there is no provider `{name}`{hint}") from None
        if provider.disabled is not None:
            raise NotFoundError(f"provider `{name}` is disabled: {provider.disabled}")
        return provider


def _openai(providers: Providers, provider: Provider) -> ChatProvider:
    from providers.openai_chat import OpenAIChat
    from providers.pool import FixedEndpoint

    pool = providers.pool(provider.host)
    return OpenAIChat(provider, pool, FixedEndpoint(pool.host))


def _llama_cpp(providers: Providers, provider: Provider) -> ChatProvider:
    from providers.openai_chat import OpenAIChat

    return OpenAIChat(provider, providers.pool(provider.host), providers.llama(provider))


def _simulated(providers: Providers, provider: Provider) -> ChatProvider:
    return providers.simulated(provider)


FACTORIES: dict[str, Callable[[Providers, Provider], ChatProvider]] = {
    "openai": _openai,
    "llama_cpp": _llama_cpp,
    "simulated": _simulated,
}
"""By the host's kind; each imports its dialect on first use."""

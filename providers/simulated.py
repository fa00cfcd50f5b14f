"""A provider that follows a script, for demos without a key; marked as a simulation everywhere."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from config.hosts import Phase, Provider, Simulation
from providers.base import (
    DEFAULT_OPTIONS,
    CallOptions,
    Delta,
    Message,
    ProviderError,
    Usage,
    estimate_tokens,
)
from providers.messages import text_of, written

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[object]]
RETRY_AFTER_S = 5.0
_FILLER = (
    "No language model computed this: the words, the delays and the failures follow a script, "
    "so that the routing can be watched."
)


class Script:
    """The current phase of a simulation, by requests made and seconds passed."""

    def __init__(self, simulation: Simulation, clock: Clock) -> None:
        self._phases = simulation.phases
        self._clock = clock
        self._index = 0
        self._requests = 0
        self._since = clock()

    def next(self) -> Phase:
        """The phase of the next request."""
        self._skip_whole_rounds()
        while self._over(self._phases[self._index]):
            self._advance()
        self._requests += 1
        return self._phases[self._index]

    def _over(self, phase: Phase) -> bool:
        spent = phase.requests is not None and self._requests >= phase.requests
        return spent or (phase.seconds is not None and self._clock() - self._since >= phase.seconds)

    def _advance(self) -> None:
        phase = self._phases[self._index]
        spent = phase.requests is not None and self._requests >= phase.requests
        if spent or phase.seconds is None:
            self._since = self._clock()
        else:
            self._since += phase.seconds
        self._index = (self._index + 1) % len(self._phases)
        self._requests = 0

    def _skip_whole_rounds(self) -> None:
        """After a long idle time, a script of timed phases has gone through many rounds."""
        if all(phase.seconds is not None for phase in self._phases):
            round_s = sum(phase.seconds or 0.0 for phase in self._phases)
            passed = self._clock() - self._since
            self._since += round_s * max(0, int(passed / round_s) - 1)


class SimulatedChat:
    """A ChatProvider whose answers, delays and failures follow its `simulation`.

    The same seed gives the same random draws for the same sequence of calls. `sleep` and `clock`
    are parameters so that tests run on virtual time.
    """

    simulated = True

    def __init__(
        self,
        provider: Provider,
        *,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.provider = provider
        self.simulation = provider.simulation or Simulation()
        self._script = Script(self.simulation, clock)
        self._sleep = sleep
        self._calls = itertools.count()

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
        """See ChatProvider."""
        phase = self._script.next()
        draw = random.Random(f"{self.simulation.seed}:{next(self._calls)}")
        error = phase.error if draw.random() < phase.error_rate else None
        if error == "hang":
            await asyncio.get_running_loop().create_future()
        await self._sleep(phase.ttft_s * (1 + phase.jitter * draw.uniform(-1, 1)))
        if error not in (None, "stall", "cut"):
            raise self._failure(error)
        wanted = options.max_tokens or self.provider.max_tokens or self.simulation.tokens
        words = self._words(messages, min(wanted, self.simulation.tokens))
        broken_at = max(1, len(words) // 2) if error else len(words)
        for index, word in enumerate(words[:broken_at]):
            if index:
                await self._sleep(1 / phase.tokens_per_s)
            yield Delta(text=word)
        if error == "stall":
            await asyncio.get_running_loop().create_future()
        if error == "cut":
            raise self._failure("cut")
        usage = Usage(sum(estimate_tokens(written(m)) for m in messages), len(words))
        finish_reason = "length" if wanted < self.simulation.tokens else "stop"
        yield Delta(finish_reason=finish_reason, usage=usage)

    async def models(self) -> list[str]:
        return [self.model]

    async def close(self) -> None:
        """There is nothing to free."""

    def _words(self, messages: Sequence[Message], count: int) -> list[str]:
        """So many words that declare the simulation and quote the question, which is a prompt's
        last line, since a fallback's prompt begins with passages."""
        prompt = next((text_of(m) for m in reversed(messages) if m["role"] == "user"), "")
        question = prompt.strip().rpartition("\n")[2].removeprefix("Question: ")
        asked = " ".join(question.split()[:12])
        opening = f"[Simulation] {self.name} pretends to answer “{asked}”.".split()
        words = list(
            itertools.islice(itertools.chain(opening, itertools.cycle(_FILLER.split())), count)
        )
        return [f"{word} " for word in words[:-1]] + words[-1:]

    def _failure(self, error: str | None) -> ProviderError:
        where = f"{self.name} at {self.host} (simulation)"
        if error == "rate_limited":
            what = f"{where} is asked too often, as its script says"
            return ProviderError("rate_limited", what, status=429, retry_after_s=RETRY_AFTER_S)
        if error == "auth":
            return ProviderError("auth", f"{where} refuses the key, as its script says", status=401)
        if error == "server":
            return ProviderError("server", f"{where} fails, as its script says", status=503)
        if error == "empty":
            return ProviderError("bad_reply", f"{where} sends nothing, as its script says")
        return ProviderError("connection", f"{where} breaks off, as its script says")

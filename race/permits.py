"""The permit to call a provider, granted in one place: for first calls, repeats, hedges, probes and
trials alike, by the provider's circuit breaker, the day's budget and its capabilities."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import structlog

from config.hosts import Capability, Provider
from config.models import Settings
from providers.base import Message, ProviderError
from providers.messages import without_media
from race.breaker import MISCONFIGURED, Breaker, Snapshot, State, Transition, nearest
from race.budget import Allowance
from race.capabilities import Capabilities
from routing.ranking.reward import NOT_ITS_FAULT

logger = structlog.get_logger()

SOON_S = 10.0
"""If nothing else could answer, a provider whose host named a time is called anyway unless that
time is further away than this."""

Needs = Collection[str]
"""What a request needs of its provider: capabilities, and fields of its host."""


class Permit:
    """Permission for one call, returned by the first report on the call; later reports are ignored.

    A half-open breaker is judged by its probe alone: the results of other calls, started before it
    opened, say nothing about the provider's health now.
    """

    def __init__(
        self,
        provider: str,
        breaker: Breaker,
        slow_s: float,
        clock: Callable[[], float],
        *,
        probe: bool,
    ) -> None:
        self.provider = provider
        self._breaker = breaker
        self._slow_s = slow_s
        self._clock = clock
        self._probe = probe
        self._used = False
        self._sign_ms: float | None = None

    def sign_of_life(self, after_ms: float) -> None:
        """The call's first reasoning or content came this long after its start."""
        self._sign_ms = after_ms if self._sign_ms is None else self._sign_ms

    def succeeded(self) -> None:
        """The call succeeded."""
        self._report(True, slow=(self._sign_ms or 0.0) > self._slow_s * 1000)

    def failed(self, error: ProviderError) -> None:
        """The call failed; a failure that is the caller's own fault does not count.

        Nor does an answer that misses the caller's schema, which may be impossible to match.
        """
        if not self._used and error.kind in (*NOT_ITS_FAULT, "schema"):
            self.dropped()
        elif not self._used:
            self._report(
                False,
                retry_after_s=error.retry_after_s,
                fatal=error.kind in MISCONFIGURED,
            )

    def too_late(self) -> None:
        """The race was decided without the call, which counts as slow, whatever its result."""
        self._report(True, slow=True)

    def dropped(self) -> None:
        """The call was cancelled through no fault of the provider."""
        if not self._used:
            self._used = True
            if self._probe:
                self._breaker.release(self._clock())

    def _report(
        self,
        ok: bool,
        *,
        slow: bool = False,
        retry_after_s: float | None = None,
        fatal: bool = False,
    ) -> None:
        if self._used:
            return
        self._used = True
        now = self._clock()
        if self._probe or retry_after_s is not None or self._breaker.state(now) != "half_open":
            self._breaker.record(ok, now, slow=slow, retry_after_s=retry_after_s, fatal=fatal)


class Wait(NamedTuple):
    """A host's refusal: it must not be called for some time, or the key or model is wrong."""

    wait_s: float
    misconfigured: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """No call may be made; `why` is a phrase for people."""

    why: str


class Permits:
    """Decides which providers may be called now. Shared by all requests of a process; every method
    is fast."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._unshared: dict[str, Breaker] = {}
        self._hearing = False
        self._spent: dict[str, float] = {}
        self._own: dict[str, float] = {}
        self.sharers = 1
        """Processes that share the day's budget, as far as is known."""
        self.capabilities = Capabilities(settings)
        self._free = {p.name for p in settings.providers if is_free(settings, p)}
        self.breakers = {p.name: self._breaker(p.name) for p in settings.providers}

    def grant(
        self, name: str, category: str, *, needs: Needs = (), forced: bool = False
    ) -> Permit | Refused:
        """Permission to call the provider once, now. The permit must be returned in any case.

        `forced`: every provider's breaker is open and this one's time is nearest (`nearest`).
        """
        breaker, now = self.breakers[name], self._clock()
        if self.barred(name) or self.lacks(name, needs) or not breaker.allow(now, forced=forced):
            return Refused(self.why_not(name, needs))
        slow_s = self._settings.breaker.slow_s
        if slow_s is None:
            slow_s = self._settings.limits_for(category).ttft_s
        probe = breaker.state(now) == "half_open"
        return Permit(name, breaker, slow_s, self._clock, probe=probe)

    def allows(self, name: str, needs: Needs = ()) -> bool:
        """Whether `grant` would give a permit now; reserves nothing."""
        usable = self.breakers[name].usable(self._clock())
        return usable and self.barred(name) is None and self.lacks(name, needs) is None

    def turned_away(self, name: str) -> None:
        """A request that would have used this provider goes elsewhere."""
        self.breakers[name].turned_away()

    def in_doubt(self, order: Sequence[str]) -> str | None:
        """The provider of this order, other than its first, that is due for another try: its
        breaker is half-open, or its last call failed and others were called since."""
        now = self._clock()
        return next((n for n in order[1:] if self.breakers[n].passed_over(now)), None)

    def may_repeat(self, name: str) -> bool:
        """Whether a call that just failed may be repeated: not if others failed before it."""
        return self.allows(name) and self.breakers[name].row <= 1

    def why_not(self, name: str, needs: Needs = ()) -> str:
        """Why `grant` refuses, as a phrase."""
        if reason := self.barred(name) or self.lacks(name, needs):
            return reason
        breaker, now = self.breakers[name], self._clock()
        if breaker.state(now) == "half_open":
            return f"its circuit breaker is trying it with another request ({breaker.why})"
        wait_s = max((breaker.retry_at or 0.0) - now, 0.0)
        return f"its circuit breaker is open for another {wait_s:.0f} s ({breaker.why})"

    def nearest(self, names: Sequence[str], needs: Needs = ()) -> str | None:
        """If all these providers are open, the one whose time comes first.

        A host that named its own time is not called before it while the fallback can answer, nor if
        that time is more than SOON_S away.
        """
        now = self._clock()
        able = [n for n in names if self.barred(n) is None and self.lacks(n, needs) is None]
        if self.allows(self._settings.fallback.provider):
            able = [name for name in able if not self.breakers[name].asked_to_wait(now)]
        able = [name for name in able if self._named_wait_s(name) <= SOON_S]
        return nearest(((name, self.breakers[name]) for name in able), now)

    def retry_after_s(self, names: Sequence[str]) -> float | None:
        """Seconds after which calling these providers again may help, if known: the shortest wait
        that their hosts named, else the shortest while all their breakers are open."""
        if named := [wait for name in names if (wait := self._named_wait_s(name))]:
            return min(named)
        now, breakers = self._clock(), [self.breakers[name] for name in names]
        if not all(breaker.state(now) == "open" for breaker in breakers):
            return None
        return min((max((b.retry_at or now) - now, 0.0) for b in breakers), default=None)

    def _named_wait_s(self, name: str) -> float:
        """Seconds until the time that the host itself named; 0 without one."""
        breaker, now = self.breakers[name], self._clock()
        return (breaker.retry_at or now) - now if breaker.asked_to_wait(now) else 0.0

    # -- by what it can do ----------------------------------------------------------------------

    def lacks(self, name: str, needs: Needs) -> str | None:
        """Why a provider cannot do what the request needs, or None; unknown capabilities count as
        present."""
        return self.capabilities.lacks(name, needs) if needs else None

    def thinkers_first(self, order: Sequence[str]) -> list[str]:
        """The order, with providers that declare capabilities without reasoning moved to the
        end."""
        return sorted(order, key=lambda name: "reasoning" in self.capabilities.missing(name))

    def readable(self, name: str, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages, with placeholders for earlier pictures that the model cannot see."""
        if all(isinstance(m["content"], str) for m in messages):
            return messages
        return without_media(messages, self.capabilities.missing(name))

    def learn(self, name: str, lacks: Capability, words: str) -> None:
        """A host refused a request because its model lacks that capability."""
        self.capabilities.learn(name, lacks, words)

    # -- by the day's budget --------------------------------------------------------------------

    @property
    def allowance(self) -> Allowance:
        """The remaining budget of today."""
        return Allowance(self._settings.budget, self._spent, self._own, self.sharers)

    def barred(self, name: str) -> str | None:
        """Why the budget allows no more calls to this provider today, or None."""
        return self.allowance.barred(name, free=name in self._free)

    # -- by its circuit breaker -----------------------------------------------------------------

    def forget_breakers(self) -> None:
        """Close every breaker: after a corrected configuration, or between two tests."""
        self._unshared.clear()
        for name in self.breakers:
            self.breakers[name] = self._breaker(name)

    def states(self) -> dict[str, State]:
        """The state of each provider's breaker."""
        now = self._clock()
        return {name: breaker.state(now) for name, breaker in self.breakers.items()}

    def snapshot(self, name: str) -> Snapshot:
        """A provider's breaker, for display."""
        return self.breakers[name].snapshot(self._clock())

    def waits(self) -> dict[str, Wait]:
        """Refusals by hosts that hold for every replica and that the others do not know yet (see
        `shared`)."""
        now = self._clock()
        for name, breaker in list(self._unshared.items()):
            if self.breakers.get(name) is not breaker or not _for_all(breaker, now):
                del self._unshared[name]  # it was replaced, or its time has passed
        return {
            name: Wait((b.retry_at or now) - now, b.misconfigured(now))
            for name, b in self._unshared.items()
        }

    def shared(self, name: str) -> None:
        """The other replicas have received this one."""
        self._unshared.pop(name, None)

    def hear(self, name: str, wait: Wait) -> None:
        """Adopt a host's refusal of another replica's call that holds for all."""
        self._hearing = True
        breaker, now = self.breakers[name], self._clock()
        try:
            if wait.misconfigured:
                if breaker.state(now) == "closed":
                    breaker.record(False, now, fatal=True)
            else:
                breaker.record(False, now, retry_after_s=wait.wait_s)
        finally:
            self._hearing = False

    def _breaker(self, name: str) -> Breaker:
        return Breaker(self._settings.breaker, partial(self._breaker_changed, name))

    def _breaker_changed(self, name: str, change: Transition) -> None:
        logger.info("breaker", provider=name, state=change.after, why=change.why)
        breaker = self.breakers[name]
        if change.after == "open" and not self._hearing and _for_all(breaker, change.at):
            self._unshared[name] = breaker


def _for_all(breaker: Breaker, now: float) -> bool:
    """Whether it opened on the host's own reply, not on trouble that may be local to this
    process."""
    return breaker.asked_to_wait(now) or breaker.misconfigured(now)


def is_free(settings: Settings, provider: Provider) -> bool:
    """Whether calls cost nothing: a price of zero, or no vendor. An unknown price is not free."""
    if settings.hosts[provider.host].kind == "llama_cpp":
        return True
    return provider.cost is not None and provider.cost.input == provider.cost.output == 0

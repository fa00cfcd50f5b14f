"""The circuit breaker of one provider (Nygard, Release It!, 2nd edition, chapter 5).

    closed ──(failures)──> open ──(its time has passed)──> half-open ──(a good call)──> closed
                            ^                                 │
                            └────────(a bad call, longer)─────┘

Pure: time comes in as `now`, monotonic seconds. One call at a time goes through a half-open
breaker; the fallback shields its caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from typing_extensions import TypedDict

from config import models

State = Literal["closed", "open", "half_open"]

RETRY_AFTER_MAX_S = 3_600.0
"""A host that asks for more is called again after an hour anyway, since it may be wrong."""

PROBE_LEASE_S = 180.0
"""Seconds after which a half-open call that never reported back no longer occupies the breaker."""

PROBES_A_MINUTE = 8
"""Failed calls per minute allowed at a provider that is down; see `Breaker`."""
BUSY_REQUESTS = 90
BUSY_PER_S = 18.0
"""After this many requests were turned away at this rate, one may go through: 1.1% of them, which
together with those that opened the breaker stays below 2%. At thirty a second that is one every
3 s."""

WRONG = "misconfigured"
"""Why a breaker opened on such an error."""

MISCONFIGURED = frozenset({"auth", "not_found"})
"""Errors that repeat until the configuration is corrected: they open the breaker at once."""


class Snapshot(TypedDict):
    """A breaker's state for display."""

    state: State
    retry_in_s: float
    openings: int  # consecutive
    why: str  # it last opened; empty while it never did


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state; `why` is a phrase such as "5 failures in a row"."""

    before: State
    after: State
    at: float
    why: str


class Breaker:
    """Decides when a provider may be called.

    Opens after `failures` consecutive failures, when `share` of the last `window` calls failed, on
    slow calls by the same two rules, at once on a Retry-After and on a misconfiguration. Stays open
    for `open_s` times the number of consecutive openings, at most `open_max_s`; a Retry-After
    replaces that time. A later opening never shortens an earlier one.

    A probe costs its caller nothing, since the fallback is running too, so it comes earlier if
    requests are being turned away: after `open_s` again, or, if they are many, after BUSY_REQUESTS
    of them. Apart from the latter, at most PROBES_A_MINUTE calls fail in a minute. A time that the
    host named itself is always respected.
    """

    def __init__(
        self,
        config: models.Breaker,
        on_change: Callable[[Transition], None] | None = None,
    ) -> None:
        self.why = ""
        """Why it last opened; empty if it never did."""
        self._config = config
        self._on_change = on_change
        self._state: State = "closed"
        self._retry_at = 0.0
        self._openings = 0
        self._wait_is_hosts = False
        self._probe_until: float | None = None
        self._opened_at = 0.0
        self._asked_at = 0.0
        self._turned_away = 0
        self._down: deque[float] = deque(maxlen=PROBES_A_MINUTE)  # when calls failed
        self._bad = _Watch(config)
        self._slow = _Watch(config)

    def state(self, now: float) -> State:
        """An open breaker whose time has passed is half-open."""
        if self._state == "open" and self._due(now):
            self._change("half_open", now, "its time has passed")
        return self._state

    def turned_away(self) -> None:
        """A request that would have used this provider went elsewhere."""
        self._turned_away += 1

    def passed_over(self, now: float) -> bool:
        """Whether an open provider is called anyway, as a probe; if not, the request counts as
        turned away."""
        if self._state != "closed":
            return self.state(now) == "half_open" and self.usable(now)
        if not self.row:
            return False
        self._turned_away += 1
        return self._busy(now) or now >= self._asked_at + self._config.open_s

    @property
    def row(self) -> int:
        """Consecutive failed calls."""
        return self._bad.row

    @property
    def retry_at(self) -> float | None:
        """When the next call may go through, in the caller's monotonic seconds; None: now."""
        return None if self._state == "closed" else self._retry_at

    def asked_to_wait(self, now: float) -> bool:
        """Whether the host itself named the time until which it must not be called."""
        return self._wait_is_hosts and self.state(now) == "open"

    def misconfigured(self, now: float) -> bool:
        """Whether the host rejected the key or the model, as it will until that is corrected."""
        return self.why == WRONG and self.state(now) == "open"

    def usable(self, now: float) -> bool:
        """Whether `allow` would return True; reserves nothing."""
        state = self.state(now)
        return state == "closed" or (state == "half_open" and not self._probing(now))

    def allow(self, now: float, *, forced: bool = False) -> bool:
        """Whether a call may be made now. A caller that is let through must call `record` or
        `release`.

        `forced`: every provider is open and this one's time is nearest (see `nearest`), so its call
        goes through as if it were half-open already.
        """
        if forced and self.state(now) == "open":
            self._change("half_open", now, "no other provider is left")
        if not self.usable(now):
            return False
        if self._state == "half_open":
            self._probe_until = now + PROBE_LEASE_S
        self._asked_at, self._turned_away = now, 0
        return True

    def record(
        self,
        ok: bool,
        now: float,
        *,
        slow: bool = False,
        retry_after_s: float | None = None,
        counts: bool = True,
        fatal: bool = False,
    ) -> None:
        """The end of a call: `slow` to its first token, or answered with a Retry-After.

        `counts=False` for results that say nothing about the provider (`reward.NOT_ITS_FAULT`),
        `fatal` for those that repeat until the configuration is corrected (`MISCONFIGURED`).
        """
        state = self.state(now)
        if not counts:
            self.release(now)
        elif not ok and retry_after_s is not None:
            self._open(now, f"asked to wait {retry_after_s:.4g} s", retry_after_s, by_host=True)
        elif state == "half_open":
            if ok and not slow:
                self._close(now)
            else:
                self._down.append(now)
                self._open(now, "slow again" if ok else "failed again")
        elif state == "closed":
            if not ok or slow:
                self._down.append(now)
            why = WRONG if fatal and not ok else self._bad.add(not ok, "failed")
            why = why or self._slow.add(ok and slow, "were slow")
            if why:
                self._open(now, why)

    def release(self, now: float) -> None:
        """The call was cancelled before it showed anything: another may go through instead.

        After a forced call the breaker stays open for the time that was left.
        """
        if self.state(now) == "half_open":
            self._probe_until = None
            if now < self._retry_at:
                self._change("open", now, self.why)

    def snapshot(self, now: float) -> Snapshot:
        """For display."""
        return {
            "state": self.state(now),
            "retry_in_s": max(0.0, self._retry_at - now) if self._state == "open" else 0.0,
            "openings": self._openings,
            "why": self.why,
        }

    def _due(self, now: float) -> bool:
        """Whether an open provider may be called once more."""
        if self._wait_is_hosts and now < self._retry_at:
            return False
        if self._busy(now):
            return True
        if len(self._down) == PROBES_A_MINUTE and now < self._down[0] + 60.0:
            return False
        waited_for = self._turned_away > 1 and now >= self._opened_at + self._config.open_s
        return waited_for or now >= self._retry_at

    def _busy(self, now: float) -> bool:
        rate = self._turned_away / max(now - self._asked_at, 1.0)
        return self._turned_away >= BUSY_REQUESTS and rate >= BUSY_PER_S

    def _probing(self, now: float) -> bool:
        return self._probe_until is not None and now < self._probe_until

    def _open(
        self, now: float, why: str, wait_s: float | None = None, *, by_host: bool = False
    ) -> None:
        if self._state != "open":
            self._openings += 1
            self._opened_at = now
        if wait_s is None:
            wait_s = min(self._config.open_s * self._openings, self._config.open_max_s)
        self._retry_at = max(self._retry_at, now + min(wait_s, RETRY_AFTER_MAX_S))
        self.why, self._wait_is_hosts = why, by_host
        self._change("open", now, why)

    def _close(self, now: float) -> None:
        self._openings = 0
        self._retry_at = 0.0
        self._bad.clear()
        self._slow.clear()
        self._change("closed", now, "it answered")

    def _change(self, after: State, now: float, why: str) -> None:
        before, self._state = self._state, after
        if before != after:
            self._probe_until = None
            if self._on_change:
                self._on_change(Transition(before, after, now, why))


class _Watch:
    """Counts one kind of failure, consecutive and within the last `window` calls."""

    def __init__(self, config: models.Breaker) -> None:
        self._config = config
        self._recent: deque[bool] = deque(maxlen=config.window)
        self.row = 0

    def add(self, trouble: bool, verb: str) -> str:
        """Why the breaker must open now, or an empty string."""
        self._recent.append(trouble)
        self.row = self.row + 1 if trouble else 0
        if self.row >= self._config.failures:
            return f"{self.row} calls in a row {verb}"
        full = len(self._recent) == self._config.window
        if trouble and full and sum(self._recent) >= self._config.share * self._config.window:
            return f"{sum(self._recent)} of the last {self._config.window} calls {verb}"
        return ""

    def clear(self) -> None:
        self._recent.clear()
        self.row = 0


def nearest(breakers: Iterable[tuple[str, Breaker]], now: float) -> str | None:
    """The name whose breaker lets a call through soonest; None if each has one in progress."""
    waiting = [
        (breaker.retry_at or now, place, name)
        for place, (name, breaker) in enumerate(breakers)
        if breaker.state(now) == "open" or breaker.usable(now)
    ]
    return min(waiting)[2] if waiting else None

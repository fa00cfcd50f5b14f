from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from config import models
from race.breaker import PROBE_LEASE_S, RETRY_AFTER_MAX_S, Breaker, Transition, nearest

CONFIG = models.Breaker(open_s=30)


def opened(now: float = 0.0, config: models.Breaker = CONFIG) -> Breaker:
    """A breaker that has just opened for the first time."""
    breaker = Breaker(config)
    for _ in range(config.failures):
        breaker.record(False, now)
    assert breaker.state(now) == "open"
    return breaker


def test_five_failures_in_a_row_open_it() -> None:
    breaker = Breaker(CONFIG)
    for _ in range(4):
        breaker.record(False, 0.0)
    assert breaker.allow(0.0)
    breaker.record(False, 0.0)
    assert not breaker.allow(0.0)
    assert breaker.why == "5 calls in a row failed"


def test_a_success_in_between_starts_the_row_again() -> None:
    breaker = Breaker(CONFIG)
    for ok in (False, False, False, False, True, False, False, False, False):
        breaker.record(ok, 0.0)
    assert breaker.state(0.0) == "closed"


def test_half_of_the_last_twenty_open_it() -> None:
    breaker = Breaker(CONFIG)
    for n in range(20):
        assert breaker.state(0.0) == "closed"
        breaker.record(n % 2 == 0, 0.0)
    assert breaker.state(0.0) == "open"
    assert breaker.why == "10 of the last 20 calls failed"


def test_slow_calls_open_it_likewise() -> None:
    breaker = Breaker(CONFIG)
    for _ in range(5):
        breaker.record(True, 0.0, slow=True)
    assert breaker.state(0.0) == "open"
    assert breaker.why == "5 calls in a row were slow"


def test_it_stays_open_for_its_time_then_lets_one_call_through() -> None:
    breaker = opened()
    assert breaker.retry_at == 30.0
    assert not breaker.allow(29.9)
    assert breaker.allow(30.0)
    assert breaker.state(30.0) == "half_open"
    assert not breaker.allow(30.0)


def test_a_good_call_closes_it_and_forgets() -> None:
    breaker = opened()
    breaker.allow(30.0)
    breaker.record(True, 31.0)
    assert breaker.state(31.0) == "closed"
    assert breaker.retry_at is None
    for _ in range(4):
        breaker.record(False, 32.0)
    assert breaker.state(32.0) == "closed"


def test_each_opening_in_a_row_lasts_longer_up_to_the_cap() -> None:
    breaker = opened(config=models.Breaker(open_s=30, open_max_s=100))
    waits = []
    for _ in range(4):
        assert breaker.retry_at is not None
        now = breaker.retry_at
        assert breaker.allow(now)
        breaker.record(False, now)
        waits.append(breaker.retry_at - now)
    assert waits == [60.0, 90.0, 100.0, 100.0]


def test_a_slow_answer_does_not_close_it() -> None:
    breaker = opened()
    breaker.allow(30.0)
    breaker.record(True, 33.0, slow=True)
    assert breaker.state(33.0) == "open"


def test_retry_after_opens_it_at_once_and_is_kept() -> None:
    breaker = Breaker(CONFIG)
    breaker.record(False, 0.0, retry_after_s=7.0)
    assert not breaker.allow(6.9)
    assert breaker.allow(7.0)


def test_a_shorter_retry_after_does_not_shorten_an_opening() -> None:
    breaker = Breaker(CONFIG)
    breaker.record(False, 0.0, retry_after_s=60.0)
    breaker.record(False, 1.0, retry_after_s=2.0)
    assert breaker.retry_at == 60.0


def test_an_absurd_retry_after_is_capped() -> None:
    breaker = Breaker(CONFIG)
    breaker.record(False, 0.0, retry_after_s=1e9)
    assert breaker.retry_at == RETRY_AFTER_MAX_S


def test_a_wrong_key_opens_it_at_once() -> None:
    breaker = Breaker(CONFIG)
    breaker.record(False, 0.0, fatal=True)
    assert breaker.state(0.0) == "open"
    assert breaker.why == "misconfigured"


def test_what_says_nothing_about_the_provider_does_not_count() -> None:
    breaker = Breaker(CONFIG)
    for _ in range(50):
        breaker.record(False, 0.0, counts=False)
    assert breaker.state(0.0) == "closed"


@pytest.mark.parametrize(
    "end",
    [
        lambda b: b.release(31.0),
        lambda b: b.record(False, 31.0, counts=False),
    ],
)
def test_a_cancelled_probe_gives_its_place_back(end: Callable[[Breaker], None]) -> None:
    breaker = opened()
    breaker.allow(30.0)
    end(breaker)
    assert breaker.state(31.0) == "half_open"
    assert breaker.allow(31.0)


def test_a_probe_that_never_reports_back_does_not_block_for_ever() -> None:
    breaker = opened()
    assert breaker.allow(30.0)
    assert not breaker.allow(30.0 + PROBE_LEASE_S - 1)
    assert breaker.allow(30.0 + PROBE_LEASE_S)


def test_calls_that_were_under_way_do_not_prolong_an_opening() -> None:
    breaker = opened()
    for _ in range(10):
        breaker.record(False, 5.0)
    assert breaker.retry_at == 30.0


def test_usable_takes_no_place() -> None:
    breaker = opened()
    assert not breaker.usable(29.0)
    assert breaker.usable(30.0)
    assert breaker.usable(30.0)
    assert breaker.allow(30.0)
    assert not breaker.usable(30.0)


def test_when_all_are_open_the_nearest_is_tried() -> None:
    soon, late = opened(0.0), opened(10.0)
    assert nearest([("late", late), ("soon", soon)], 12.0) == "soon"
    assert soon.allow(12.0, forced=True)
    soon.record(True, 13.0)
    assert soon.state(13.0) == "closed"


def test_a_forced_call_that_was_cancelled_leaves_it_open_for_its_time() -> None:
    breaker = opened()
    breaker.allow(1.0, forced=True)
    breaker.release(2.0)
    assert not breaker.allow(29.0)
    assert breaker.allow(30.0)


def test_a_single_provider_under_probe_is_not_tried_twice() -> None:
    only = opened()
    assert only.allow(1.0, forced=True)
    assert nearest([("only", only)], 1.0) is None
    assert not only.allow(1.0, forced=True)


def test_changes_are_reported_with_their_reason() -> None:
    told: list[Transition] = []
    breaker = Breaker(CONFIG, told.append)
    breaker.record(False, 0.0, retry_after_s=3.0)
    breaker.allow(3.0)
    breaker.record(True, 4.0)
    assert told == [
        Transition("closed", "open", 0.0, "asked to wait 3 s"),
        Transition("open", "half_open", 3.0, "its time has passed"),
        Transition("half_open", "closed", 4.0, "it answered"),
    ]


def outage(every_s: float, seconds: float, healthy_at: float) -> tuple[list[float], float]:
    """The calls that a provider got which is down until `healthy_at`, at one request each
    `every_s`, and when it answered again."""
    breaker, calls = Breaker(models.Breaker()), list[float]()
    for n in range(int(seconds / every_s)):
        now = n * every_s
        if not breaker.allow(now):
            breaker.turned_away()
            continue
        calls.append(now)
        breaker.record(now >= healthy_at, now)
        if now >= healthy_at:
            return calls, now
    return calls, float("inf")


@pytest.mark.parametrize("down_s", [30, 61.5, 600])
@pytest.mark.parametrize(("every_s", "within_s"), [(4.0, 15.0), (1 / 30, 4.0)])
def test_it_is_back_soon_after_its_recovery_however_long_it_was_down(
    down_s: float, every_s: float, within_s: float
) -> None:
    for later in range(12):  # wherever between two probes it recovers
        _, back_at = outage(every_s, down_s + 60, down_s + later)
        assert back_at <= down_s + later + within_s


@pytest.mark.parametrize("every_s", [0.01, 1 / 30, 1 / 17, 0.2, 1.0, 2.0, 4.0, 7.0, 30.0])
def test_a_provider_that_is_down_gets_few_calls(every_s: float) -> None:
    calls, _ = outage(every_s, 1000, 1e9)
    most = max(8, 0.02 * 60 / every_s)
    for start in calls:
        assert sum(start <= at < start + 60 for at in calls) <= most


def test_a_host_that_named_its_time_is_left_alone_whoever_asks_for_it() -> None:
    breaker = Breaker(models.Breaker())
    breaker.record(False, 0.0, retry_after_s=40.0)
    for _ in range(1000):
        breaker.turned_away()
    assert not breaker.allow(39.9)
    assert breaker.allow(40.0)


class BreakerMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order, the promises hold."""

    @initialize(
        failures=st.integers(1, 6),
        window=st.integers(1, 12),
        share=st.floats(0.1, 1),
        open_s=st.floats(1, 60),
        open_max_s=st.floats(1, 600),
    )
    def start(
        self, failures: int, window: int, share: float, open_s: float, open_max_s: float
    ) -> None:
        self.config = models.Breaker(
            failures=failures, window=window, share=share, open_s=open_s, open_max_s=open_max_s
        )
        self.changes: list[Transition] = []
        self.breaker = Breaker(self.config, self.changes.append)
        self.now = 1_000.0
        self.under_way = 0
        self.promised = 0.0

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_call_is_forced(self) -> None:
        self.under_way += self.breaker.allow(self.now, forced=True)
        self.promised = 0.0

    @rule(requests=st.integers(1, 100))
    def requests_go_elsewhere(self, requests: int) -> None:
        for _ in range(requests):
            self.breaker.turned_away()

    @rule()
    def a_call_asks(self) -> None:
        state = self.breaker.state(self.now)
        allowed = self.breaker.allow(self.now)
        assert allowed or state != "closed"
        assert not (allowed and state == "open")
        if allowed:
            self.under_way += 1

    @precondition(lambda self: self.under_way > 0)
    @rule(
        ok=st.booleans(),
        slow=st.booleans(),
        counts=st.booleans(),
        fatal=st.booleans(),
        retry_after_s=st.none() | st.floats(0, 5_000),
    )
    def a_call_ends(
        self, ok: bool, slow: bool, counts: bool, fatal: bool, retry_after_s: float | None
    ) -> None:
        self.under_way -= 1
        before = self.breaker.state(self.now)
        self.breaker.record(
            ok, self.now, slow=slow, counts=counts, fatal=fatal, retry_after_s=retry_after_s
        )
        after = self.breaker.state(self.now)
        if not counts:
            self.assert_nothing_learned(before)
        if ok and before == "closed" and not slow:
            assert after == "closed"
        if before == "half_open" and counts and ok and not slow:
            assert after == "closed"
        if counts and not ok and retry_after_s:
            assert self.breaker.retry_at is not None
            assert self.breaker.retry_at >= self.now + min(retry_after_s, RETRY_AFTER_MAX_S)

    @precondition(lambda self: self.under_way > 0)
    @rule()
    def a_call_is_cancelled(self) -> None:
        self.under_way -= 1
        before = self.breaker.state(self.now)
        self.breaker.release(self.now)
        self.assert_nothing_learned(before)

    def assert_nothing_learned(self, before: str) -> None:
        """The state is as it was; a forced call that told nothing leaves the breaker open."""
        assert self.breaker.state(self.now) in (before, "open")
        if before == "closed":
            assert self.breaker.state(self.now) == "closed"

    @rule()
    def it_is_always_asked_again_in_the_end(self) -> None:
        retry_at = self.breaker.retry_at
        if retry_at is not None:
            longest = max(self.config.open_max_s, self.config.open_s, RETRY_AFTER_MAX_S)
            assert retry_at <= self.now + longest
            later = max(self.now, retry_at) + PROBE_LEASE_S
            assert self.breaker.usable(later) or self.breaker.state(self.now) == "half_open"

    @invariant()
    def an_opening_is_never_shortened(self) -> None:
        if not hasattr(self, "breaker"):
            return
        if self.breaker.state(self.now) == "open":
            assert self.breaker.retry_at is not None
            assert self.breaker.retry_at >= self.promised
            self.promised = self.breaker.retry_at
        else:
            self.promised = 0.0

    @invariant()
    def only_these_changes_happen(self) -> None:
        allowed = {
            ("closed", "open"),
            ("open", "half_open"),
            ("half_open", "closed"),
            ("half_open", "open"),
        }
        for change in getattr(self, "changes", []):
            assert (change.before, change.after) in allowed


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.integers(2, 50))
def test_half_open_lets_exactly_one_of_many_through(callers: int) -> None:
    breaker = opened()
    assert [breaker.allow(30.0) for _ in range(callers)].count(True) == 1

"""The token buckets of an open service."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from api.access import MOST_CLIENTS, RateLimit, client_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_passes_and_the_next_request_waits(clock: Clock) -> None:
    limit = RateLimit(per_minute=60, burst=3, clock=clock)
    assert [limit.wait_s("a") for _ in range(4)] == [0, 0, 0, 1.0]


def test_tokens_come_back_with_time(clock: Clock) -> None:
    limit = RateLimit(per_minute=60, burst=1, clock=clock)
    assert limit.wait_s("a") == 0
    clock.now = 0.75
    assert limit.wait_s("a") == pytest.approx(0.25)
    clock.now = 1.0
    assert limit.wait_s("a") == 0


def test_clients_do_not_take_each_others_tokens(clock: Clock) -> None:
    limit = RateLimit(per_minute=60, burst=1, clock=clock)
    assert [limit.wait_s(name) for name in "abc"] == [0, 0, 0]


def test_many_addresses_are_no_way_around_the_limit(clock: Clock) -> None:
    limit = RateLimit(per_minute=60, burst=1, clock=clock)
    passed = sum(limit.wait_s(f"client {i}") == 0 for i in range(100))
    assert passed == 10


def test_memory_is_bounded(clock: Clock) -> None:
    limit = RateLimit(clock=clock)
    for i in range(MOST_CLIENTS + 5):
        limit.wait_s(f"client {i}")
    assert len(limit._clients) == MOST_CLIENTS


def request(forwarded: str | None) -> Request:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return Request({"type": "http", "headers": headers, "client": ("10.0.0.1", 80)})


def test_the_client_is_the_address_that_the_nearest_proxy_saw() -> None:
    assert client_of(request(None)) == "10.0.0.1"
    assert client_of(request("1.2.3.4")) == "1.2.3.4"
    assert client_of(request("whatever I say, 1.2.3.4")) == "1.2.3.4"

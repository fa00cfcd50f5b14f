"""A caller whose text cannot be taken back is shown one answer, whole."""

from __future__ import annotations

from config.models import Limits
from race.events import Event
from race.machine import Race
from race.rendezvous import Rendezvous


def told(*, events: list[Event]) -> str:
    return "".join(event["text"] for event in events if event["type"] == "token")


async def test_the_call_before_a_continuation_is_not_listened_to() -> None:
    """Its last words may arrive after the primary failed and before it is cancelled."""
    events: list[Event] = []
    r = Rendezvous("request", events.append)
    r.begin(Race(Limits(), admitted_at=r.now(), rewindable=False))
    r.token("primary", "The sky is ")
    r.failed("primary", "connection")
    assert r.continue_asked.is_set()

    r.token("fallback", "Blue, because")
    r.done("fallback")
    assert told(events=events) == "The sky is "
    assert not r.decided.done()

    assert r.take_continuation() == "The sky is "
    r.token("fallback", "blue.")
    assert not r.decided.done()
    r.done("fallback")
    assert told(events=events) == "The sky is blue."
    assert r.decided.result().winner == "fallback"
    r.close()

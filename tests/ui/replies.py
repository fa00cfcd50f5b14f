"""Replies of the page's events, kept by a test until it lets them go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.ui.conftest import Visitor

OVERS = """() => {
    const over = RouterPage.over;
    window.overs = [];
    RouterPage.over = (key, well) => (window.overs.push(key), over(key, well));
}"""
"""Keeps which events are over, by part and event."""


@contextmanager
def holding(visitor: Visitor, part: str, event: str) -> Iterator[list[Any]]:
    """Keep what one part of the page sends by one event, in its order; each is to be continued,
    fulfilled or aborted."""
    held: list[Any] = []

    def sort(route: Any) -> None:
        wish = str(((route.request.post_data_json or {}).get("event_data") or {}).get("wish"))
        held.append(route) if wish.startswith(f"{part} {event} ") else route.fallback()

    visitor.page.route("**/gradio_api/run/**", sort)
    yield held
    visitor.page.unroute("**/gradio_api/run/**", sort)


def until(visitor: Visitor, condition: Callable[[], bool]) -> None:
    """Wait for something that this test's own routes see."""
    for _ in range(2_000):
        if condition():
            return
        visitor.page.wait_for_function("() => new Promise(requestAnimationFrame).then(() => true)")
    raise AssertionError("it did not come")

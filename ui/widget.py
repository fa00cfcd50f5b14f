"""A part of the page that our own script draws from plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

AT_ONCE: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}
"""For an event that answers once. Past the queue on purpose: gradio closes a tab's stream of events
when none is pending, and an event that joins in that moment is not heard of again."""

STREAMED: dict[str, Any] = {
    "concurrency_limit": None,
    "show_progress": "hidden",
    "api_visibility": "private",
}
"""For an event that answers again and again, any number at once."""


def widget(
    view: str,
    value: Any = None,
    *,
    elem_id: str,
    every_s: float = 0,
    events: Sequence[str] = (),
) -> Any:
    """A `gr.HTML` whose template is static: values reach the DOM as text, through `core.js`.

    `view` names the drawing function in `ui/assets`. It may trigger `select` with the data that
    the listener finds in its `gr.EventData`. It triggers `refresh` whenever it comes into sight
    and, with `every_s`, as often while it stays there; nothing happens in a tab that is not seen.
    `events` are others that it may trigger.
    """
    import gradio as gr

    arguments = f"element, props, trigger, watch, 'refresh', {every_s * 1000:.0f}"
    return gr.HTML(
        value=value,
        html_template='<div class="rt-view"></div>',
        js_on_load=f"RouterPage.mount('{view}', {arguments}) // {[*events]}",
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=[f"rt-{view}"],
    )

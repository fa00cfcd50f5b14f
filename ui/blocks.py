"""Gradio as the page uses it: its Blocks, how events are sent, and the parts that our script draws.

Files that an event returns have owners, and failures go to our own log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

import gradio as gr
import structlog
from gradio_client.utils import is_file_obj_with_meta, traverse

from config.errors import RouterError
from ui.guard import FAILED, session_of
from ui.uploads import Files
from ui.wording import say

logger = structlog.get_logger()


class Sent(TypedDict, total=False):
    """How an event reaches the service."""

    queue: bool
    concurrency_limit: int | None
    show_progress: Literal["hidden"]
    api_visibility: Literal["private"]


AT_ONCE: Sent = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}
"""For an event that answers once. Past the queue on purpose: gradio closes a tab's stream of events
when none is pending, and an event that joins in that moment is not heard of again."""

STREAMED: Sent = {
    "concurrency_limit": None,
    "show_progress": "hidden",
    "api_visibility": "private",
}
"""For an event that answers again and again, any number at once."""

NOT_OFFERED = say("blocks.that_is_no")


class Page(gr.Blocks):
    """Blocks of which each returned file is readable in the session that asked for it only.

    A failure is one sentence on the page; Gradio itself would print a traceback with the raw input.
    """

    def __init__(self, files: Files, **how: Any) -> None:
        super().__init__(**how)
        self.files = files
        self.has_launched = True  # Gradio checks paths only then, and mounting does not set it

    async def preprocess_data(self, *args: Any, **how: Any) -> list[Any]:
        """The inputs as handlers have them. Gradio's sentence about a choice would repeat it."""
        try:
            found: list[Any] = await super().preprocess_data(*args, **how)
        except gr.Error as error:
            if not str(error.message).startswith("Value: "):
                raise
            raise gr.Error(NOT_OFFERED, print_exception=False) from error
        return found

    async def process_api(self, *args: Any, **how: Any) -> dict[str, object]:
        try:
            output: dict[str, object] = await super().process_api(*args, **how)
        except gr.Error as error:
            error.print_exception = False
            raise
        except RouterError as error:
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:
            logger.exception("page_event_failed")
            raise gr.Error(FAILED, print_exception=False) from error
        request = how.get("request")
        session = session_of(request.headers) if isinstance(request, gr.Request) else None
        if session is not None:
            traverse(
                output["data"],
                lambda file: self.files.made(session, file["path"]),
                is_file_obj_with_meta,
            )
        return output


def widget(
    view: str,
    value: object = None,
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
    arguments = f"element, props, trigger, watch, 'refresh', {every_s * 1000:.0f}"
    return gr.HTML(
        value=value,
        html_template='<div class="rt-view"></div>',
        js_on_load=f"RouterPage.mount('{view}', {arguments}) // {[*events]}",
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=[f"rt-{view}"],
    )

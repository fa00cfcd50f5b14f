"""Gradio as the page uses it: its Blocks, how events are sent, and the parts that our script draws.

Files that an event returns have owners, failures go to our own log, and every reply says which wish
it answers: see `assets/asking.js`.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Literal, TypedDict
from weakref import WeakKeyDictionary

import gradio as gr
import structlog
from gradio.events import Dependency
from gradio_client.utils import is_file_obj_with_meta, traverse

from config.errors import RouterError
from ui.guard import FAILED, session_of
from ui.inputs import WISH
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


class Reply(TypedDict):
    """What a part's value says of itself."""

    to: str
    """The wish, or nothing where Gradio's own components asked."""
    begun: int
    """Grows with every event that begins; all values of one event have the same."""
    number: int
    """Grows with every value: the browser does not show one that equals the last."""


_replying: ContextVar[tuple[str, int] | None] = ContextVar("replying", default=None)


class Page(gr.Blocks):
    """Blocks of which each returned file is readable in the session that asked for it only.

    A failure is one sentence on the page; Gradio itself would print a traceback with the raw input.
    """

    def __init__(self, files: Files, **how: Any) -> None:
        super().__init__(**how)
        self.files = files
        self.has_launched = True  # Gradio checks paths only then, and mounting does not set it
        self._numbers = numbers()
        self._begun: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    async def preprocess_data(self, *args: Any, **how: Any) -> list[Any]:
        """The inputs as handlers have them. Gradio's sentence about a choice would repeat it."""
        try:
            found: list[Any] = await super().preprocess_data(*args, **how)
        except gr.Error as error:
            if not str(error.message).startswith("Value: "):
                raise
            raise gr.Error(NOT_OFFERED, print_exception=False) from error
        return found

    async def postprocess_data(self, block_fn: Any, *args: Any, **how: Any) -> list[Any]:
        """The outputs as the browser has them; those of a `widget` with their `reply`."""
        found: list[Any] = await super().postprocess_data(block_fn, *args, **how)
        outputs = zip(block_fn.outputs, found, strict=True)
        return [self._reply(one) if isinstance(block, gr.HTML) else one for block, one in outputs]

    def _reply(self, value: Any) -> Any:
        replying = _replying.get()
        if replying is None or not isinstance(value, dict) or "__type__" in value:
            return value
        return {**value, "reply": Reply(to=replying[0], begun=replying[1], number=self._next())}

    def _next(self) -> int:
        return next(self._numbers)

    async def process_api(self, *args: Any, **how: Any) -> dict[str, object]:
        iterator = how.get("iterator")
        begun = self._begun.get(iterator) if iterator is not None else None
        begun = self._next() if begun is None else begun
        happened = getattr(how.get("event_data"), "_data", None)
        wish = happened.get(WISH) if isinstance(happened, dict) else None
        _replying.set((str(wish or ""), begun))
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
        if output["iterator"] is not None:
            self._begun[output["iterator"]] = begun
        request = how.get("request")
        session = session_of(request.headers) if isinstance(request, gr.Request) else None
        if session is not None:
            traverse(
                output["data"],
                lambda file: self.files.made(session, file["path"]),
                is_file_obj_with_meta,
            )
        return output


def numbers() -> Iterator[int]:
    """Growing numbers, each greater than those of a service that was here before: a page may stay
    open while its service is restarted. They begin with the time, in microseconds."""
    return itertools.count(time.time_ns() // 1_000)


def widget(
    view: str,
    value: object = None,
    *,
    elem_id: str,
    every_s: float = 0,
    events: Sequence[str] = (),
    latest: bool = True,
) -> Any:
    """A `gr.HTML` whose template is static: values reach the DOM as text, through `core.js`.

    `view` names the drawing function in `ui/assets`. It may trigger `select` with the data that
    the listener finds in its `gr.EventData`. It triggers `refresh` whenever it comes into sight
    and, with `every_s`, as often while it stays there; nothing happens in a tab that is not seen.
    `events` are others that it may trigger. With `latest` the values of an event are not shown once
    one that began later has shown its own.
    """
    own = json.dumps({"id": elem_id, "every": round(every_s * 1000), "latest": latest})
    arguments = f"element, props, trigger, watch, {own}"
    return gr.HTML(
        value=value,
        html_template='<div class="rt-view"></div>',
        js_on_load=f"RouterPage.mount('{view}', {arguments}) // {['refresh', *events]}",
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=[f"rt-{view}"],
    )


def answer_wishes(demo: gr.Blocks) -> None:
    """Let our script know when an event of a `widget` is over, and whether it failed.

    Gradio would drop an event while another of its kind is under way, or repeat the older one
    instead (`always_last`): which wishes are sent is decided in the browser.
    """
    for number, fn in list(demo.fns.items()):
        for target, event in fn.targets:
            part = demo.blocks.get(target) if target is not None else None
            if isinstance(part, gr.HTML):
                fn.trigger_mode = "multiple"
                over = Dependency(part, {}, number, fn.fn)
                key = json.dumps(f"{part.elem_id} {event}")
                over.then(None, None, None, js=f"() => RouterPage.over({key}, true)")
                over.failure(None, None, None, js=f"() => RouterPage.over({key}, false)")

"""The page: chat, boards and named endpoints over one router."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from config.environment import private_uploads
from graph.router import Router
from ui import theme
from ui.chat_service import ChatService
from ui.display import DisplayConfig
from ui.uploads import Files
from ui.wording import say
from web.hosts import guard

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI

    from ui.blocks import Page

TITLE = "LLM Router"
TAGLINE = say("page.every_prompt_to")
MOST_EVENTS = 2_000
"""Events that may run at once; gradio's own 40 would let a few waiting tabs stop all others."""
EVENTS_S, PROGRESS_S = 0.01, 1.0
"""How often gradio's queue is looked at: for events, and for progress, which no board reports."""
MOST_UPLOAD = "20mb"


def build_page(router: Router, *, write: bool = True, allow_keys: bool = False) -> Page:
    """The page; with `write` False whatever would change something is neither shown nor allowed.

    With `allow_keys` whoever signed in may give keys, not only whoever sits at this machine.
    """
    import gradio as gr

    from ui.blocks import AT_ONCE, Page, answer_wishes, widget
    from ui.boards.compare import compare_tab
    from ui.boards.knowledge import knowledge_tab
    from ui.boards.log import log_tab
    from ui.boards.models import models_tab
    from ui.boards.overview import overview_tab
    from ui.boards.priorities import priorities_tab
    from ui.boards.providers import providers_tab
    from ui.boards.route import route_tab
    from ui.boards.settings import settings_tab
    from ui.chat import chat_tab
    from ui.endpoints import add_endpoints
    from ui.news import news_line

    service = ChatService(router)
    private_uploads()
    files = Files()
    demo = Page(
        files, title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)
    )
    with demo:
        add_endpoints(service, write=write)  # first: a handler of the same name gets another
        top = widget("header", header(router), elem_id="top")
        with gr.Tabs(elem_id="tabs"):
            chat_tab(demo, service)
            overview_tab(service)
            if write:
                compare_tab(service)
            priorities_tab(service)
            log_tab(service, write=write)
            providers_tab(service, write=write, allow_keys=allow_keys)
            route_tab(service)
            knowledge_tab(service, files, write=write)
            models_tab(service, write=write)
            settings_tab(service, write=write)
        news_line(service)
        demo.load(
            lambda: header(router),
            None,
            top,
            **AT_ONCE,
        )
        answer_wishes(demo)
    demo.queue(default_concurrency_limit=None)
    demo.max_threads = demo._queue.max_thread_count = MOST_EVENTS
    _without_haste(demo)
    _without_statistics(demo)
    return demo


def _without_haste(demo: gr.Blocks) -> None:
    """Gradio would look for events a thousand times a second in each of two loops, which takes a
    tenth of a core while nobody is there."""
    demo._queue.sleep_when_free = EVENTS_S
    demo._queue.progress_update_sleep_when_free = PROGRESS_S


def _without_statistics(demo: gr.Blocks) -> None:
    """Gradio would keep the last 10,000 events and group them by pandas now and then; the page
    shows none of it, and its boards make many events."""
    demo._queue.ANALYTICS_MAX_EVENTS = 1
    demo._queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize


def header(router: Router) -> dict[str, object]:
    """Title, and in plain words what kind of answers to expect."""
    settings = router.settings
    display = DisplayConfig.of(settings)
    kinds = {display.kind(p.name) for p in settings.providers if p.disabled is None}
    notices = []
    if kinds == {"simulated"}:
        text = say("page.every_model_here")
        notices.append({"kind": "simulated", "title": "Simulation.", "text": text})
    elif kinds == {"embedded"}:
        text = say("page.answers_come_from")
        notices.append({"kind": "embedded", "title": "Demo quality.", "text": text})
    return {"title": TITLE, "tagline": TAGLINE, "notices": notices}


def mount(app: FastAPI, router: Router, *, write: bool, allow_keys: bool = False) -> FastAPI:
    """Serve the page at `/` of that application, after whatever routes it has already.

    An application that checks no Host and Origin yet does so from here on, as on loopback.
    """
    served = attach(app, router, write=write, allow_keys=allow_keys)
    guard(served, router.settings.environment)
    return served


def attach(app: FastAPI, router: Router, *, write: bool, allow_keys: bool = False) -> FastAPI:
    """`mount` on an application that stands behind a check of Host and Origin."""
    import gradio as gr
    from starlette.middleware.gzip import GZipMiddleware

    from ui.guard import Guard
    from ui.inputs import events_of

    given = router.settings.environment.ui_auth
    login = [tuple(given.get_secret_value().split(":", 1))] if given else None
    page = build_page(router, write=write, allow_keys=allow_keys)
    served: FastAPI = gr.mount_gradio_app(
        app,
        page,
        path="/",
        auth=login,
        auth_message=say("page.sign_in_to"),
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        pwa=False,
        ssr_mode=False,
        show_error=False,
        max_file_size=MOST_UPLOAD,
        theme=theme.theme(),
        head=theme.head(),
        js="() => RouterPage.begin()",
    )
    gradio: Any = served.routes[-1]
    policy = theme.policy(framed=router.settings.environment.space_id is not None)
    gradio.app.add_middleware(Guard, events=events_of(page), files=page.files, policy=policy)
    gradio.app.add_middleware(GZipMiddleware, compresslevel=6)  # a stream of events passes as it is
    return served

"""The chat: a conversation on the left, what happens inside on the right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from config.errors import RouterError
from config.models import Settings
from ui import wording
from ui.desk import Desk
from ui.picture import empty, picture
from ui.terms import Terms
from ui.transcript import Conversation
from ui.view import View
from ui.widget import widget

EXAMPLES = 3
"""Prompts shown for each category."""

LATEX: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]

Frame = tuple[list[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Parts:
    """The components that the handlers speak to."""

    talk: gr.Chatbot
    box: gr.Textbox
    category: gr.Dropdown
    provider: gr.Dropdown
    examples: gr.HTML
    fresh: gr.Button
    picture: gr.HTML
    conversation: gr.State
    amended: gr.State


def chat_tab(demo: gr.Blocks, desk: Desk) -> None:
    """Lay out the chat and connect it."""
    with gr.Tab("Chat", id="chat"):
        parts = _layout(desk)
    _connect_asking(parts, Handlers(desk))
    _connect_reading(demo, parts, Handlers(desk))


def _layout(desk: Desk) -> Parts:
    settings = desk.router.settings
    with gr.Row(elem_classes="rt-chat-row", equal_height=False):
        with gr.Column(scale=6, min_width=320, elem_classes="rt-talk-column"):
            talk = gr.Chatbot(
                elem_id="talk",
                label="Conversation",
                show_label=False,
                height="clamp(340px, calc(100dvh - 370px), 900px)",
                layout="panel",
                buttons=["copy"],
                allow_tags=False,
                latex_delimiters=LATEX,
                feedback_options=("Like", "Dislike"),
                placeholder="### Ask anything\nEach prompt goes to the model that answers its kind"
                " best; a second one reads the knowledge base meanwhile, so that there is always"
                " an answer.",
            )
            box = gr.Textbox(
                elem_id="prompt",
                elem_classes="rt-prompt",
                label="Prompt",
                show_label=False,
                placeholder="Ask anything. Enter sends, Shift+Enter starts a new line.",
                submit_btn="Send",
                stop_btn=False,
                lines=1,
                max_lines=8,
                autofocus=True,
            )
            with gr.Row(elem_classes="rt-controls"):
                category = gr.Dropdown(
                    _categories(settings), value="", label="Category", elem_id="category"
                )
                provider = gr.Dropdown(
                    _providers(settings, desk.terms), value="", label="Model", elem_id="provider"
                )
                fresh = gr.Button("New conversation", elem_id="fresh", min_width=150)
            examples = widget("examples", examples_of(settings), elem_id="examples")
        with gr.Column(scale=5, min_width=320):
            shown = widget("picture", empty(), elem_id="picture")
    conversation = gr.State(Conversation())
    amended = gr.State(None)
    return Parts(talk, box, category, provider, examples, fresh, shown, conversation, amended)


def _categories(settings: Settings) -> list[tuple[str, str]]:
    return [("Automatic", ""), *((name, name) for name in settings.categories)]


def _providers(settings: Settings, terms: Terms) -> list[tuple[str, str]]:
    enabled = [p.name for p in settings.providers if p.disabled is None]
    marked = [(f"{n} ({m})" if (m := wording.KINDS[terms.kind(n)]) else n, n) for n in enabled]
    return [("Automatic", ""), *marked]


def examples_of(settings: Settings) -> dict[str, Any]:
    """A few prompts of each category, for people to click."""
    groups = []
    for name, category in settings.categories.items():
        found = category.examples
        firsts = [texts[0] for texts in found.values()] if isinstance(found, dict) else found
        short = sorted(firsts, key=len)[:EXAMPLES]
        groups.append({"name": name, "description": category.description, "prompts": short})
    return {"categories": groups}


class Handlers:
    """What the page's events do; each returns what its outputs show."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def begin(self, prompt: str, category: str, provider: str, conversation: Conversation) -> Any:
        """Show the prompt at once; an empty one does nothing."""
        view = self.desk.begin(conversation, prompt or "", category or "", provider or "")
        if view is None:
            return gr.skip(), gr.skip(), gr.skip()
        box = gr.Textbox(value="", submit_btn=False, stop_btn="Stop")
        return box, conversation.messages(), picture(view)

    def begin_example(
        self, category: str, provider: str, conversation: Conversation, event: gr.EventData
    ) -> Any:
        prompt = str((event._data or {}).get("prompt", ""))
        return self.begin(prompt, category, provider, conversation)

    def begin_again(self, conversation: Conversation, event: gr.RetryData) -> Any:
        """Ask a prompt once more; what came after it is forgotten."""
        turn = conversation.turn_at(_index(event))
        if turn is None or conversation.running:
            return gr.skip(), gr.skip(), gr.skip()
        asked = conversation.turns[turn].asked
        conversation.keep(turn)
        return self.begin(
            asked["prompt"], asked["category"] or "", asked["provider"] or "", conversation
        )

    async def respond(
        self, conversation: Conversation, request: gr.Request
    ) -> AsyncIterator[Frame]:
        """Frames of the answer; only the two live outputs, because each one costs."""
        frames = self.desk.answer(conversation, tab_of(request))
        async with aclosing(frames):  # type: ignore[type-var]
            async for view in frames:
                yield conversation.messages(), picture(view)

    def idle(self, conversation: Conversation) -> Any:
        """Give the box back, unless the next prompt runs already."""
        if conversation.running:
            return gr.skip()
        return gr.Textbox(submit_btn="Send", stop_btn=False)

    def stop(self, request: gr.Request) -> None:
        self.desk.runs.stop(tab_of(request))

    async def wait_for_late(self, conversation: Conversation, request: gr.Request) -> View | None:
        return await self.desk.amendment(conversation, tab_of(request))

    def amend(self, conversation: Conversation, view: View | None) -> Any:
        """Show a late answer under the one that it amends."""
        if view is None or not any(turn is view for turn in conversation.turns):
            return gr.skip(), gr.skip()
        latest = view is conversation.turns[-1]
        return conversation.messages(), picture(view) if latest else gr.skip()

    async def judge(self, conversation: Conversation, event: gr.LikeData) -> None:
        turn = conversation.turn_at(_index(event))
        if turn is None:
            return
        liked = event.liked if isinstance(event.liked, bool) else None
        try:
            await self.desk.judge(conversation.turns[turn], liked)
        except RouterError as error:
            gr.Warning(str(error))

    def look(self, conversation: Conversation, event: gr.SelectData) -> Any:
        """The picture of the turn that was clicked."""
        turn = conversation.turn_at(_index(event))
        if turn is None or conversation.running:
            return gr.skip()
        return picture(conversation.turns[turn])

    def forget(self, request: gr.Request) -> Any:
        """A new conversation; what still runs is stopped."""
        self.desk.runs.stop(tab_of(request))
        return Conversation(), [], empty()

    def close(self, request: gr.Request) -> None:
        self.desk.close(tab_of(request))


def _connect_asking(parts: Parts, do: Handlers) -> None:
    """Each way to ask begins at once, streams, gives the box back, then waits for a late answer."""
    terms = [parts.category, parts.provider, parts.conversation]
    shown = [parts.box, parts.talk, parts.picture]
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    begun = (
        parts.box.submit(do.begin, [parts.box, *terms], shown, trigger_mode="multiple", **quiet),
        parts.examples.select(do.begin_example, terms, shown, trigger_mode="multiple", **quiet),
        parts.talk.retry(
            do.begin_again, parts.conversation, shown, trigger_mode="multiple", **quiet
        ),
    )
    live: dict[str, Any] = {
        "show_progress": "hidden",
        "api_visibility": "private",
        "concurrency_limit": None,
    }
    for start in begun:
        start.then(do.respond, parts.conversation, [parts.talk, parts.picture], **live).then(
            do.idle, parts.conversation, parts.box, **quiet
        ).then(do.wait_for_late, parts.conversation, parts.amended, **live).then(
            do.amend, [parts.conversation, parts.amended], [parts.talk, parts.picture], **quiet
        )
    parts.box.stop(do.stop, None, None, **quiet)


def _connect_reading(demo: gr.Blocks, parts: Parts, do: Handlers) -> None:
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    parts.talk.like(do.judge, parts.conversation, None, **quiet)
    parts.talk.select(do.look, parts.conversation, parts.picture, **quiet)
    parts.fresh.click(do.forget, None, [parts.conversation, parts.talk, parts.picture], **quiet)
    demo.unload(do.close)


def tab_of(request: gr.Request) -> str:
    return str(request.session_hash)


def _index(event: Any) -> int:
    index = event.index
    return int(index[0] if isinstance(index, list | tuple) else index)

"""What the events of the chat do, and what can be chosen there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import gradio as gr

from config.models import Settings
from ui import wording
from ui.chat_service import ChatService
from ui.display import DisplayConfig, ShownAnswer
from ui.kept import restored
from ui.picture import empty, picture
from ui.transcript import Conversation
from ui.view import View

CONTINUE = "Go on from where you stopped."

WAITS = ("0.1", "0.5", "1", "3", "10", "30")
"""Seconds that the first model can be given, beside what is configured."""
FAILURES = ("server", "rate_limited", "connection", "auth", "empty")
"""Errors of a simulated model that come at once: it is not slow."""
TAKEOVER_S = WAITS[0]
TAKEOVER = "Why is the sky blue?"
"""The knowledge base has the answer, so that it can take over."""

EXAMPLES = 3
"""Prompts shown for each category."""
LENGTHS = range(15, 71)
"""Characters of a prompt that says something and still fits a button."""

Frame = tuple[list[dict[str, object]], dict[str, object]]


def categories(settings: Settings) -> list[tuple[str, str]]:
    return [("Automatic", ""), *((name, name) for name in settings.categories)]


def providers(settings: Settings, display: DisplayConfig) -> list[tuple[str, str]]:
    enabled = [p.name for p in settings.providers if p.disabled is None]
    marked = [(f"{n} ({m})" if (m := wording.KINDS[display.kind(n)]) else n, n) for n in enabled]
    return [("Automatic", ""), *marked]


def waits() -> list[tuple[str, str]]:
    named = [(f"{wait} second{'' if wait == '1' else 's'}", wait) for wait in WAITS]
    return [("As configured", ""), *named]


def examples_of(settings: Settings) -> dict[str, object]:
    """A few prompts of each category, for people to click: the first that fit a button and are in
    the page's language, as far as their letters tell."""
    groups = []
    for name, category in settings.categories.items():
        found = category.examples
        firsts = [texts[0] for texts in found.values()] if isinstance(found, dict) else found
        fit = [text for text in firsts if len(text) in LENGTHS and text.isascii()]
        shown = (fit or sorted(firsts, key=len))[:EXAMPLES]
        groups.append({"name": name, "description": category.description, "prompts": shown})
    takeover = {
        "name": "Takeover",
        "prompt": TAKEOVER,
        "label": f"{TAKEOVER} A slow model is given {TAKEOVER_S} seconds.",
    }
    return {"categories": groups, "takeover": takeover}


class Handlers:
    """What the page's events do; each returns what its outputs show."""

    def __init__(self, service: ChatService) -> None:
        self.service = service

    def begin(
        self, prompt: str, category: str, provider: str, wait: str, conversation: Conversation
    ) -> object:
        """Show the prompt at once; an empty one does nothing."""
        ttft_s = float(wait) if wait else None
        view = self.service.begin(
            conversation, prompt or "", category or "", provider or "", ttft_s
        )
        if view is None:
            return gr.skip(), gr.skip(), gr.skip()
        box = gr.Textbox(value="", submit_btn=False, stop_btn="Stop")
        return box, conversation.messages(), picture(view)

    def begin_example(
        self,
        category: str,
        provider: str,
        wait: str,
        conversation: Conversation,
        event: gr.EventData,
    ) -> object:
        sent = event._data or {}
        if sent.get("takeover"):
            provider, wait = self._slowest(), TAKEOVER_S
        return self.begin(str(sent.get("prompt", "")), category, provider, wait, conversation)

    def _slowest(self) -> str:
        """The model that takes longest to begin, as far as is known, and is not the fallback.

        It is asked by name: so it is asked in any case.
        """
        settings, ranking = (
            self.service.router.settings,
            self.service.router.services.routing.ranking,
        )
        orders = [name for category in settings.categories for name in settings.order(category)]
        others = [n for n in orders if n != settings.fallback.provider] or orders

        def seconds(name: str) -> float:
            script = settings.provider(name).simulation
            if script is None:
                return ranking.ttft_p95_s(name) or 0.0
            return -1.0 if script.phases[0].error in FAILURES else script.phases[0].ttft_s

        return max(others, key=seconds, default="")

    def begin_again(
        self,
        category: str,
        provider: str,
        wait: str,
        conversation: Conversation,
        event: gr.RetryData,
    ) -> object:
        """Ask a prompt once more, of the model that is chosen now; what came after is forgotten."""
        turn = conversation.turn_at(_index(event))
        if turn is None or conversation.running:
            return gr.skip(), gr.skip(), gr.skip()
        prompt = conversation.turns[turn].asked["prompt"]
        conversation.keep(turn)
        return self.begin(prompt, category, provider, wait, conversation)

    def begin_edited(
        self,
        category: str,
        provider: str,
        wait: str,
        conversation: Conversation,
        event: gr.EventData,
    ) -> object:
        """Ask an edited prompt in the place of its turn; what came after is forgotten."""
        sent = event._data or {}
        prompt, asked = str(sent.get("prompt") or ""), str(sent.get("request_id"))
        turn = next((n for n, v in enumerate(conversation.turns) if v.request_id == asked), None)
        if turn is None or conversation.running or not prompt.strip():
            return gr.skip(), gr.skip(), gr.skip()
        conversation.keep(turn)
        return self.begin(prompt, category, provider, wait, conversation)

    def go_on(
        self, category: str, wait: str, conversation: Conversation, event: gr.SelectData
    ) -> object:
        """Ask the model whose answer was cut to go on from there."""
        turn = conversation.turn_at(_index(event))
        if turn is None or conversation.running:
            return gr.skip(), gr.skip(), gr.skip()
        answer = conversation.turns[turn].answer or ShownAnswer()
        asked = answer.get("provider") or ""
        return self.begin(CONTINUE, category, asked, wait, conversation)

    async def respond(
        self, conversation: Conversation, request: gr.Request
    ) -> AsyncIterator[Frame]:
        """Frames of the answer; only the two live outputs, because each one costs."""
        frames = self.service.answer(conversation, tab_of(request))
        async with aclosing(frames):  # type: ignore[type-var]
            async for view in frames:
                if conversation.over:
                    return
                yield conversation.messages(), picture(view)

    def idle(self, conversation: Conversation) -> object:
        """Give the box back, unless the next prompt runs already. Where the conversation was left
        meanwhile, its last frame may have come after the new one's first: clear that away."""
        if conversation.running:
            return gr.skip(), gr.skip(), gr.skip()
        box = gr.Textbox(submit_btn="Send", stop_btn=False)
        if conversation.turns:
            return box, gr.skip(), gr.skip()
        return box, [], empty()

    def stop(self, conversation: Conversation, request: gr.Request) -> None:
        self.service.stop(conversation, tab_of(request))

    async def wait_for_late(self, conversation: Conversation, request: gr.Request) -> View | None:
        return await self.service.amendment(conversation, tab_of(request))

    def amend(self, conversation: Conversation, view: View | None) -> object:
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
        await self.service.judge(conversation.turns[turn], liked)

    async def correct(
        self, conversation: Conversation, event: gr.EventData, request: gr.Request
    ) -> object:
        """Teach the classifier what a turn's prompt was, as its reader chose it in the menu."""
        wanted = event._data or {}
        asked = str(wanted.get("request_id", ""))
        view = next((v for v in conversation.turns if v.request_id == asked), None)
        if view is None:
            return gr.skip()
        await self.service.correct(view, str(wanted.get("category", "")), request.username)
        return picture(view)

    def look(self, conversation: Conversation, event: gr.SelectData) -> object:
        """The picture of the turn that was clicked."""
        turn = conversation.turn_at(_index(event))
        if turn is None or conversation.running:
            return gr.skip()
        return picture(conversation.turns[turn])

    def forget(self, conversation: Conversation, request: gr.Request) -> object:
        """A new conversation; what still runs is stopped."""
        self.service.leave(conversation, tab_of(request))
        return Conversation(), [], empty()

    async def restore(
        self, conversation: Conversation, event: gr.EventData, request: gr.Request
    ) -> object:
        """A conversation that the browser kept, with what was chosen for it."""
        sent = event._data or {}
        found = await restored(
            self.service.router.services.log, self.service.display, sent.get("turns") or []
        )
        self.service.leave(conversation, tab_of(request))
        settings = self.service.router.settings
        offered = [p.name for p in settings.providers if p.disabled is None]
        category, provider = str(sent.get("category")), str(sent.get("provider"))
        return (
            found,
            found.messages(),
            picture(found.turns[-1]) if found.turns else empty(),
            category if category in settings.categories else "",
            provider if provider in offered else "",
        )

    def offer(self) -> object:
        """What can be chosen, by the configuration in force."""
        settings = self.service.router.settings
        return (
            gr.Dropdown(choices=categories(settings)),
            gr.Dropdown(choices=providers(settings, self.service.display)),
            examples_of(settings),
        )

    def close(self, request: gr.Request) -> None:
        self.service.close(tab_of(request))


def tab_of(request: gr.Request) -> str:
    return str(request.session_hash)


def _index(event: gr.EventData) -> int:
    index = event.index
    return int(index[0] if isinstance(index, list | tuple) else index)

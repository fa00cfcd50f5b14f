"""What the events of the chat do, and what can be chosen there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import gradio as gr

from config.errors import UsageError
from ui import wording
from ui.attached import (
    FULL,
    MOST_CHARS,
    MOST_FILES,
    MOST_IN_ALL,
    MOST_PICTURE,
    PICTURES,
    TEXTS,
    Attachment,
    barred,
    received,
)
from ui.chat_service import ChatService
from ui.choices import TAKEOVER_S, categories, examples_of, providers, slowest
from ui.display import ShownAnswer
from ui.kept import restored
from ui.picture import empty, picture
from ui.transcript import Conversation
from ui.view import View
from ui.wording import say

CONTINUE = say("handlers.go_on_from")

Frame = tuple[list[dict[str, object]], dict[str, object]]


def nothing() -> tuple[object, ...]:
    """Nothing changes: neither the box nor what `shown` gives."""
    return tuple(gr.skip() for _ in range(5))


def shown(conversation: Conversation, drawn: dict[str, object]) -> tuple[object, ...]:
    """The conversation as it stands: chat, picture, what is folded away, what is attached."""
    return conversation.messages(), drawn, folded(conversation), attachments(conversation)


def folded(conversation: Conversation) -> dict[str, object]:
    """How many turns came before those that are shown."""
    return {"earlier": conversation.earlier}


def attachments(conversation: Conversation, *, problem: str = "") -> dict[str, object]:
    """What goes with the next prompt, and which contents of earlier files are not here."""
    missing = [one.id for view in conversation.turns for one in view.files if not one.data]
    return {
        "files": [one.label() for one in conversation.attached.values()],
        "problem": problem,
        "seen": list(conversation.seen),
        "missing": missing,
        "accepts": [*PICTURES, *TEXTS],
        "most_bytes": MOST_PICTURE,
        "most_chars": MOST_CHARS,
    }


class Handlers:
    """What the page's events do; each returns what its outputs show."""

    def __init__(self, service: ChatService) -> None:
        self.service = service

    def begin(
        self, prompt: str, category: str, provider: str, wait: str, conversation: Conversation
    ) -> object:
        """Show the prompt at once; an empty one does nothing."""
        waiting = list(conversation.attached.values())
        if waiting and not (prompt or "").strip():
            said = say("handlers.write_a_prompt")
            return (*nothing()[:-1], attachments(conversation, problem=said))
        return self._begin(prompt, category, provider, wait, conversation, waiting)

    def _begin(
        self,
        prompt: str,
        category: str,
        provider: str,
        wait: str,
        conversation: Conversation,
        files: Sequence[Attachment] = (),
        turn: int | None = None,
    ) -> tuple[object, ...]:
        """Ask it with these files, in the place of that turn, if one is named; where nobody can
        be asked with them, say so beside them."""
        if problem := barred(self.service.router, files):
            return (*nothing()[:-1], attachments(conversation, problem=wording.sentence(problem)))
        if turn is not None:
            conversation.keep(turn)
        ttft_s = float(wait) if wait else None
        asked = prompt or "", category or "", provider or "", ttft_s
        view = self.service.begin(conversation, *asked, files)
        if view is None:
            return nothing()
        conversation.attached.clear()
        box = gr.Textbox(value="", submit_btn=False, stop_btn="Stop")
        return box, *shown(conversation, picture(view))

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
            provider, wait = slowest(self.service.router), TAKEOVER_S
        return self.begin(str(sent.get("prompt", "")), category, provider, wait, conversation)

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
            return nothing()
        prompt, files = conversation.turns[turn].asked["prompt"], conversation.turns[turn].files
        return self._begin(prompt, category, provider, wait, conversation, files, turn)

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
            return nothing()
        files = conversation.turns[turn].files
        return self._begin(prompt, category, provider, wait, conversation, files, turn)

    def go_on(
        self, category: str, wait: str, conversation: Conversation, event: gr.SelectData
    ) -> object:
        """Ask the model whose answer was cut to go on from there."""
        turn = conversation.turn_at(_index(event))
        if turn is None or conversation.running:
            return nothing()
        answer = conversation.turns[turn].answer or ShownAnswer()
        asked = answer.get("provider") or ""
        return self._begin(CONTINUE, category, asked, wait, conversation)

    async def respond(
        self, conversation: Conversation, request: gr.Request
    ) -> AsyncIterator[Frame]:
        """Frames of the answer; only the two live outputs, because each one costs.

        Where there is none, that nothing changes: Gradio takes an end without a frame for empty
        outputs, and would clear the chat.
        """
        frames, drawn = self.service.answer(conversation, tab_of(request)), False
        async with aclosing(frames):  # type: ignore[type-var]
            async for view in frames:
                if conversation.over:
                    break
                drawn = True
                yield conversation.messages(), picture(view)
        if not drawn:
            yield gr.skip(), gr.skip()

    def idle(self, conversation: Conversation) -> object:
        """Give the box back, unless the next prompt runs already. Where the conversation was left
        meanwhile, its last frame may have come after the new one's first: clear that away."""
        if conversation.running:
            return nothing()
        box = gr.Textbox(submit_btn="Send", stop_btn=False)
        if conversation.turns:
            return box, *nothing()[1:]
        return box, *shown(conversation, empty())

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
        fresh = Conversation()
        return fresh, *shown(fresh, empty())

    async def restore(
        self, conversation: Conversation, event: gr.EventData, request: gr.Request
    ) -> object:
        """A conversation that the browser kept, with what was chosen for it; nothing where another
        was begun meanwhile."""
        sent, left = event._data or {}, conversation.over
        found = await restored(
            self.service.router.services.log, self.service.display, sent.get("turns") or []
        )
        if conversation.over and not left:
            return tuple(gr.skip() for _ in range(7))
        self.service.leave(conversation, tab_of(request))
        settings = self.service.router.settings
        offered = [p.name for p in settings.providers if p.disabled is None]
        category, provider = str(sent.get("category")), str(sent.get("provider"))
        return (
            found,
            *shown(found, picture(found.turns[-1]) if found.turns else empty()),
            category if category in settings.categories else "",
            provider if provider in offered else "",
        )

    def attach(self, conversation: Conversation, event: gr.EventData) -> object:
        """Take a file in or away, or give one of an earlier turn its content back."""
        sent = event._data or {}
        known = str(sent.get("id"))
        if sent.get("away"):
            conversation.attached.pop(known, None)
            return attachments(conversation)
        try:
            problem = self._take(conversation, received(sent))
            self.service.files.took(conversation)
        except UsageError as error:
            problem = wording.sentence(str(error))
        conversation.seen.append(known)
        return attachments(conversation, problem=problem)

    def _take(self, conversation: Conversation, found: Attachment) -> str:
        """What is to be said about a file that is taken; UsageError where there is no room."""
        waiting = conversation.attached
        if conversation.held_chars() + len(found.data) > MOST_IN_ALL:
            raise UsageError(FULL, "data")
        earlier = [view for view in conversation.turns if any(f.id == found.id for f in view.files)]
        for view in earlier:
            view.files = [found if one.id == found.id else one for one in view.files]
        if earlier:
            return ""
        if len(waiting) >= MOST_FILES and found.id not in waiting:
            raise UsageError(say("handlers.at_most_files", most_files=MOST_FILES), "data")
        waiting[found.id] = found
        problem = barred(self.service.router, waiting.values())
        return wording.sentence(problem) if problem else ""

    def show_earlier(self, conversation: Conversation, event: gr.EventData) -> object:
        conversation.show_earlier(every=bool((event._data or {}).get("every")))
        return conversation.messages(), folded(conversation)

    def offer(self) -> object:
        """What can be chosen and clicked, by the configuration in force."""
        return (*self.choices(), examples_of(self.service.router.settings))

    def choices(self) -> tuple[object, object]:
        """The categories and models, which another board may have changed."""
        settings = self.service.router.settings
        models = providers(settings, self.service.display)
        return gr.Dropdown(choices=categories(settings)), gr.Dropdown(choices=models)

    def close(self, request: gr.Request) -> None:
        self.service.close(tab_of(request))


def tab_of(request: gr.Request) -> str:
    return str(request.session_hash)


def _index(event: gr.EventData) -> int:
    index = event.index
    return int(index[0] if isinstance(index, list | tuple) else index)

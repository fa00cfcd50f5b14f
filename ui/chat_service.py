"""What the page does with the router for its tabs: ask, stop, amend, judge."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from weakref import WeakValueDictionary

from config.errors import RouterError, UsageError
from graph.router import Router
from race.state import Options
from runtime import teaching
from ui import attached
from ui.attached import Attachment, HeldFiles
from ui.display import Asked, DisplayConfig
from ui.run import Events, LateAnswers, Run, Runs
from ui.transcript import Conversation
from ui.view import View
from ui.wording import say

WRITTEN_S = 5.0
"""How long the page waits to see the row of a stopped request; it is written all the same."""


class ChatService:
    """One a process. A tab is known by its session's name."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.runs = Runs()
        self.files = HeldFiles()
        self._late = LateAnswers(router.late)
        self._owed: dict[str, set[str]] = {}  # by tab: requests whose late answer may be shown
        self._awaited: set[str] = set()
        self._terms = (router.settings, DisplayConfig.of(router.settings))
        self._judged: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def display(self) -> DisplayConfig:
        """Of the configuration in force, which may change while the page is open."""
        settings = self.router.settings
        if self._terms[0] is not settings:
            self._terms = (settings, DisplayConfig.of(settings))
        return self._terms[1]

    def begin(
        self,
        conversation: Conversation,
        prompt: str,
        category: str,
        provider: str,
        ttft_s: float | None = None,
        files: Sequence[Attachment] = (),
    ) -> View | None:
        """Add a turn that `answer` will fill; None where there is nothing to ask.

        The turn has its request id from here on, so that a stopped one can be judged too.
        """
        if not prompt.strip() or conversation.running:
            return None
        asked: Asked = {
            "prompt": prompt.strip(),
            "category": category or None,
            "provider": provider or None,
            "ttft_s": ttft_s,
        }
        number = len(conversation.turns)
        view = View(asked, self.display, request_id=uuid.uuid4().hex, number=number)
        view.files, view.chat = list(files), conversation.key
        conversation.turns.append(view)
        conversation.fold()
        conversation.pending, conversation.stopped = view, False
        return view

    def _in_turn(self, request_id: str) -> asyncio.Lock:
        """What is said of one request is taken in the order in which it comes: the last word
        stays."""
        return self._judged.setdefault(request_id, asyncio.Lock())

    async def correct(self, view: View, category: str, user: str | None) -> None:
        """Teach the classifier a turn's category; UsageError where nobody may."""
        async with self._in_turn(view.request_id):
            await self._teach(view.asked["prompt"], "prompt", category, user)
            view.corrected = category

    async def correct_logged(self, request_id: str, category: str, user: str | None) -> None:
        """Likewise for a request of the log, as far as its text is known."""
        async with self._in_turn(request_id):
            await self._teach(request_id, "request", category, user)

    async def _teach(
        self, meant: str, kind: teaching.Kind, category: str, user: str | None
    ) -> None:
        if category not in self.display.categories:
            raise UsageError(say("chat_service.this_page_takes"), "category")
        await self.router.teach(meant, category, by=user or teaching.NOBODY, kind=kind)

    async def answer(self, conversation: Conversation, tab: str) -> AsyncIterator[View]:
        """Ask for the pending turn and yield it as it grows, at 25 frames a second."""
        view = conversation.take_up()
        if view is None:
            return
        self._late.open()
        self._late.expect(view.request_id)
        self._owed.setdefault(tab, set()).add(view.request_id)
        run = Run(view, self._events(conversation, view))
        self.runs.begin(tab, run)
        if conversation.stopped:
            run.stop()
        try:
            async with aclosing(run.frames()) as frames:  # type: ignore[type-var]
                async for frame in frames:
                    yield frame
            if view.phase == "stopped" and await self._is_written(view.request_id):
                view.written()
                yield view
        finally:
            if conversation.current is view:
                conversation.current = None
            self.runs.end(tab, run)
            if not view.awaited:
                self._forget(tab, view.request_id)

    def _events(self, conversation: Conversation, view: View) -> Events:
        """Of the request that a turn is. Where files go with it, or went with one before, the
        conversation is given as messages, as callers of the API give theirs."""
        asked, said = view.asked, conversation.history()
        own = asked.get("ttft_s")
        plain = not any(turn.files for turn in conversation.turns)
        return self.router.stream(
            asked["prompt"] if plain else "",
            said if plain else None,
            asked["category"],
            asked["provider"],
            messages=None if plain else [*said, attached.asked(asked["prompt"], view.files)],
            options=Options() if own is None else Options(ttft_s=own),
            request_id=view.request_id,
        )

    async def _is_written(self, request_id: str) -> bool:
        """Whether the row of a request that was stopped is in the log, once that is known."""
        try:
            async with asyncio.timeout(WRITTEN_S):
                await self.router.settled()
                await self.router.services.log.get(request_id)
        except (TimeoutError, RouterError):
            return False
        return True

    async def amendment(self, conversation: Conversation, tab: str) -> View | None:
        """The turn that a late answer amended, when it has come; None if there will be none."""
        owed = (v for v in reversed(conversation.turns) if v.awaited)
        view = next((v for v in owed if v.request_id not in self._awaited), None)
        if view is None:
            return None
        future = self._late.expect(view.request_id)
        self._awaited.add(view.request_id)
        limits = self.router.settings.limits_for(view.route["category"] if view.route else "")
        try:
            await asyncio.wait({future}, timeout=limits.late_s + 5)
        finally:
            self._awaited.discard(view.request_id)
            self._forget(tab, view.request_id)
        answer = future.result()
        if answer is None:
            return None
        view.apply(answer)
        return view

    def stop(self, conversation: Conversation, tab: str) -> None:
        """End what is being answered, or is about to be."""
        conversation.stopped = True
        self.runs.stop(tab)

    def leave(self, conversation: Conversation, tab: str) -> None:
        """End what is being answered, and show nothing more of this conversation."""
        conversation.over = True
        self.stop(conversation, tab)

    def close(self, tab: str) -> None:
        """The tab is gone: end its request and wait for nothing on its behalf."""
        self.runs.stop(tab)
        for request_id in self._owed.pop(tab, set()):
            self._late.forget(request_id)

    def _forget(self, tab: str, request_id: str) -> None:
        self._late.forget(request_id)
        self._owed.get(tab, set()).discard(request_id)

    async def judge(self, view: View, liked: bool | None) -> None:
        """Replace what the reader thinks of an answer; it feeds the learned order."""
        async with self._in_turn(view.request_id):
            await self.router.feedback(view.request_id, liked)

"""The speaker's tokens in LangGraph's `messages` stream.

That stream is fed by the callbacks of chat models, which the race's calls are not: whichever branch
holds the floor speaks. So the answer is reported as the output of one chat model, under the id of
its later message in the state; a switch of speakers starts another one. Without listeners to
callbacks this does nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler, CallbackManager
from langchain_core.callbacks.manager import ahandle_event
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForLLMRun
    from langchain_core.runnables import RunnableConfig
    from langchain_protocol.protocol import TextContentBlock, TextDelta

NAME = "router"


_TRACERS = (BaseTracer, AsyncBaseTracer)
Call = Callable[[], Awaitable[None]]


class _InOrder(BaseCallbackHandler):
    """Calls an asynchronous handler, such as that of `astream_events`, in order."""

    def __init__(self, handler: AsyncCallbackHandler, later: Callable[[Call], None]) -> None:
        self._handler = handler
        self._later = later

    def _pass_on(self, event: str, ignored: str, *given: object, **named: object) -> None:
        self._later(lambda: ahandle_event([self._handler], event, ignored, *given, **named))

    def on_chat_model_start(self, *given: object, **named: object) -> None:
        self._pass_on("on_chat_model_start", "ignore_chat_model", *given, **named)

    def on_llm_new_token(self, *given: object, **named: object) -> None:
        self._pass_on("on_llm_new_token", "ignore_llm", *given, **named)

    def on_llm_end(self, *given: object, **named: object) -> None:
        self._pass_on("on_llm_end", "ignore_llm", *given, **named)

    def on_llm_error(self, *given: object, **named: object) -> None:
        self._pass_on("on_llm_error", "ignore_llm", *given, **named)


class SwitchedError(Exception):
    """Ends the run of a first speaker whose text was replaced."""


class Speech:
    """One answer while it is generated. Belongs to one run of the graph."""

    def __init__(self, run_id: str, prompt: BaseMessage) -> None:
        self._run_id = run_id
        self._prompt = prompt
        self._managers: dict[str, CallbackManager] = {}
        self._spoken: CallbackManagerForLLMRun | None = None
        self._shown = ""
        self._switches = 0
        self._calls: deque[Call] = deque()
        self._calling: asyncio.Task[None] | None = None

    @property
    def message_id(self) -> str:
        """The id of the message made of the tokens since the last switch."""
        return f"{self._run_id}-{self._switches}" if self._switches else self._run_id

    def enter(self, node: str, config: RunnableConfig) -> None:
        """A branch begins; its tokens are reported to its node's callbacks."""
        around = config.get("callbacks")
        handlers = [] if around is None or isinstance(around, list) else around.handlers
        # A tracer sees the nodes anyway, and would export each token, whether asked to hide it or
        # not.
        able = [self._heard_by(h) for h in handlers if not isinstance(h, _TRACERS)]
        if able:
            self._managers[node] = CallbackManager(
                able,
                parent_run_id=getattr(around, "parent_run_id", None),
                metadata=dict(config.get("metadata") or {}),
                tags=list(config.get("tags") or []),
            )

    def _heard_by(self, handler: BaseCallbackHandler) -> BaseCallbackHandler:
        if isinstance(handler, AsyncCallbackHandler):
            return _InOrder(handler, self._later)
        return handler

    def _later(self, call: Call) -> None:
        self._calls.append(call)
        if self._calling is None or self._calling.done():
            self._calling = asyncio.create_task(self._call(), name="report-tokens")

    async def _call(self) -> None:
        while self._calls:
            await self._calls.popleft()()

    async def heard(self) -> None:
        """Wait until asynchronous handlers have received everything."""
        if self._calling is not None:
            await asyncio.wait({self._calling})

    def token(self, role: str, text: str) -> None:
        """The speaker of this role said `text`."""
        if self._spoken is None and (manager := self._managers.get(role)) is not None:
            self._spoken = self._begin(manager)
        self._shown += text
        if self._spoken is not None:
            self._say(self._spoken, text)

    def switch(self, role: str, discard: int) -> None:
        """Another side speaks from here; text that is kept begins its message."""
        kept = self._shown[: len(self._shown) - discard]
        if self._spoken is not None:
            self._finish(self._spoken, {})
            self._spoken.on_llm_error(SwitchedError("another model took over"))
        self._spoken, self._shown = None, ""
        self._switches += 1
        if kept:
            self.token(role, kept)

    def end(self, message: AIMessage) -> None:
        """The answer is complete, as `message` has it."""
        if self._spoken is not None:
            self._finish(self._spoken, dict(message.response_metadata), message)
            self._spoken.on_llm_end(LLMResult(generations=[[ChatGeneration(message=message)]]))

    def _begin(self, manager: CallbackManager) -> CallbackManagerForLLMRun:
        [run] = manager.on_chat_model_start({"name": NAME}, [[self._prompt]], name=NAME)
        run.on_stream_event({"event": "message-start", "role": "ai", "id": self.message_id})
        content: TextContentBlock = {"type": "text", "text": ""}
        run.on_stream_event({"event": "content-block-start", "index": 0, "content": content})
        return run

    def _say(self, run: CallbackManagerForLLMRun, text: str) -> None:
        chunk = ChatGenerationChunk(message=AIMessageChunk(content=text, id=self.message_id))
        run.on_llm_new_token(text, chunk=chunk)
        delta: TextDelta = {"type": "text-delta", "text": text}
        run.on_stream_event({"event": "content-block-delta", "index": 0, "delta": delta})

    def _finish(
        self,
        run: CallbackManagerForLLMRun,
        metadata: dict[str, object],
        message: AIMessage | None = None,
    ) -> None:
        content: TextContentBlock = {"type": "text", "text": self._shown}
        run.on_stream_event({"event": "content-block-finish", "index": 0, "content": content})
        event: Any = {"event": "message-finish", "metadata": metadata}
        if message is not None and message.usage_metadata:
            event["usage"] = dict(message.usage_metadata)
        run.on_stream_event(event)

"""The speaker's tokens in LangGraph's `messages` stream.

That stream is fed by the callbacks of chat models, and the race's calls are none: whichever branch
holds the floor speaks. So the answer is reported as the work of one chat model, under the id that
its message will have in the state; with a switch of the speaker another one begins. Where nobody
listens to callbacks nothing is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackHandler, CallbackManager
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langchain_core.tracers.base import BaseTracer

if TYPE_CHECKING:
    from langchain_core.callbacks import CallbackManagerForLLMRun
    from langchain_core.runnables import RunnableConfig
    from langchain_protocol.protocol import TextContentBlock, TextDelta

NAME = "router"


class SwitchedError(Exception):
    """How a first speaker's run ends: its text does not stand."""


class Speech:
    """One answer while it is spoken. Belongs to one run of the graph."""

    def __init__(self, run_id: str, prompt: BaseMessage) -> None:
        self._run_id = run_id
        self._prompt = prompt
        self._managers: dict[str, CallbackManager] = {}
        self._spoken: CallbackManagerForLLMRun | None = None
        self._shown = ""
        self._switches = 0

    @property
    def message_id(self) -> str:
        """Of the message that the tokens since the last switch make."""
        return f"{self._run_id}-{self._switches}" if self._switches else self._run_id

    def enter(self, node: str, config: RunnableConfig) -> None:
        """A branch begins; its tokens are reported to its node's callbacks."""
        around = config.get("callbacks")
        handlers = [] if around is None or isinstance(around, list) else around.handlers
        # An asynchronous handler cannot be called in the order of the tokens; a tracer sees the
        # nodes anyway, and would send each token on, whatever it was asked to hide.
        able = [h for h in handlers if not isinstance(h, AsyncCallbackHandler | BaseTracer)]
        if able:
            self._managers[node] = CallbackManager(
                able,
                parent_run_id=getattr(around, "parent_run_id", None),
                metadata=dict(config.get("metadata") or {}),
                tags=list(config.get("tags") or []),
            )

    def token(self, role: str, text: str) -> None:
        """The speaker of this role said `text`."""
        if self._spoken is None and (manager := self._managers.get(role)) is not None:
            self._spoken = self._begin(manager)
        self._shown += text
        if self._spoken is not None:
            self._say(self._spoken, text)

    def switch(self, role: str, discard: int) -> None:
        """Another speaks from here; text that stays is the beginning of its message."""
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

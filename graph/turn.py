"""A run of the bare graph: one turn of a conversation that its host keeps.

The host is whoever runs the graph itself: LangGraph's server, a notebook, another graph. It
provides messages and receives the answer as a message. Requests through `Router` contain their
conversation and have no turn.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    convert_to_messages,
)
from langgraph.config import get_config

from config.errors import NoAnswerError, NotFoundError, StorageError, UsageError
from config.models import Settings
from graph.asked import checked
from graph.langchain_messages import message_of, openai_messages, usage_of
from graph.speech import Speech
from providers.messages import Message, Role
from race.services import Services
from race.state import AnswerDict, Chosen, Context, Options, State

if TYPE_CHECKING:
    from langgraph.types import StreamWriter

    from race.events import Event
    from race.request import Asked
    from telemetry.log import InteractionLog

AMENDED = "amended_by"
"""In an answer's metadata: the provider whose late answer amended it."""
LOOKED_UP = 4
"""Number of a conversation's newest answers that are looked up in the log."""
LOOKED_UP_S = 2.0
"""How long a turn waits for that, in seconds."""


class Turn:
    """One run's input, and what its host sees of it while it runs and at its end."""

    def __init__(
        self, asked: Asked, brought: list[dict[str, object]], writer: StreamWriter
    ) -> None:
        self.asked = asked
        self.run_id = uuid.uuid4().hex
        self.speech = Speech(self.run_id, HumanMessage(asked.prompt))
        self._brought = brought
        self._writer = writer
        self._answer: AnswerDict | None = None

    @classmethod
    async def begin(
        cls,
        state: State,
        context: Context | None,
        services: Services,
        writer: StreamWriter,
    ) -> Turn:
        """A new turn, from the caller's input and the conversation so far.

        Raises UsageError or NotFoundError with one sentence that says what is wrong.
        """
        chosen = _chosen(state, context or {})
        amended = await amendments(state.get("messages") or [], services)
        said = _amended(state.get("messages") or [], amended)
        asked = _asked(state, said, chosen, services.settings)
        # As dictionaries: LangGraph's `messages` stream repeats every message that a node returns.
        new: list[dict[str, object]] = []
        if state.get("prompt") is not None:
            new.append({"role": "user", "content": state["prompt"]})
        return cls(asked, [*map(_as_dict, amended), *new], writer)

    @classmethod
    def resume(cls, state: State, services: Services, writer: StreamWriter) -> Turn:
        """The turn of a run that begins in the middle, at a checkpoint."""
        chosen = state.get("chosen") or Chosen(category=None, provider=None, options={})
        said = list(state.get("messages") or [])
        while (
            said and said[-1].type == "ai"
        ):  # already answered; only the ranking remains to be updated
            said.pop()
        return cls(_asked(state, said, chosen, services.settings), [], writer)

    def emit(self, event: Event) -> None:
        """An event of the request, for the streams `custom` and `messages`."""
        self._writer(event)
        if event["type"] == "token":
            self.speech.token(event["role"], event["text"])
        elif event["type"] == "switched":
            self.speech.switch(event["to"], event["discard"])
        elif event["type"] == "answered":
            self._answer = event["answer"]

    def enter(self, node: str) -> None:
        """A node begins; called within its run."""
        self.speech.enter(node, get_config())

    async def heard(self) -> None:
        """Wait until all listeners have received what was emitted so far."""
        await self.speech.heard()

    def after(self, node: str, update: State) -> State:
        """The values that a node returns, extended by those for its host."""
        if node == "classify":
            return {**self._begun(), **update}
        if node == "log":
            return {**update, **self._answered()}
        return update

    def _begun(self) -> State:
        """What the first node adds: the new messages, and empty outputs in place of the last
        turn's."""
        asked = self.asked
        chosen = Chosen(category=asked.category, provider=asked.provider, options=asked.options)
        gone = dict.fromkeys(("primary", "fallback", "answer", "logged", "cause"))
        return cast("State", {**gone, "messages": self._brought, "chosen": chosen})

    def _answered(self) -> State:
        """What the last node adds: the answer as a message; raises NoAnswerError if there is
        none."""
        answer = self._answer
        if answer is None:
            return {}
        if not answer["success"]:
            raise NoAnswerError(answer["error"] or "nobody answered")
        message = answer_message(answer, self.speech.message_id)
        self.speech.end(message)
        return State(messages=[message])


def answer_message(answer: AnswerDict, message_id: str | None = None) -> AIMessage:
    """The answer as LangChain's users expect it: separate usage, the router's facts in the
    metadata."""
    usage = usage_of(
        answer["tokens_in"],
        answer["tokens_out"],
        answer.get("tokens_cached", 0),
        answer.get("tokens_reasoning", 0),
    )
    metadata: dict[str, object] = {
        "category": answer["category"],
        "confidence": answer["confidence"],
        "provider": answer["provider"],
        "role": answer["role"],
        "cost_usd": answer["cost_usd"],
        "request_id": answer["request_id"],
        "finish_reason": answer["finish_reason"],
        "model_name": answer["model"],
    }
    if answer["why"]:
        metadata["why"] = answer["why"]
    if answer["note"]:
        metadata["note"] = answer["note"]
    said = {"content": answer["text"], "tool_calls": answer.get("tool_calls")}
    message = message_of(said, metadata, usage)
    message.id = message_id
    return message


async def amendments(messages: Sequence[AnyMessage], services: Services) -> list[AnyMessage]:
    """The fallback's answers in this conversation whose primary came late, amended.

    Each keeps its id and what its reader saw, followed by the late answer. Its text comes from this
    process or, with `log.text`, from the log, which is asked for the newest few and not waited for.
    """
    found: list[AnyMessage] = []
    unknown: list[AnyMessage] = []
    for message in messages:
        metadata = message.response_metadata
        if message.type != "ai" or metadata.get("role") != "fallback" or AMENDED in metadata:
            continue
        answer = services.late.answer(str(metadata.get("request_id")))
        if answer is not None:
            found.append(_amend(message, answer["provider"], answer["text"]))
        else:
            unknown.append(message)
    if unknown and services.settings.log.text:
        found += await _from_the_log(unknown[-LOOKED_UP:], services.log)
    return found


async def _from_the_log(messages: Sequence[AnyMessage], log: InteractionLog) -> list[AnyMessage]:
    found: list[AnyMessage] = []
    with suppress(StorageError, TimeoutError):  # the turn is answered without them
        async with asyncio.timeout(LOOKED_UP_S):
            for message in messages:
                with suppress(NotFoundError):
                    row = await log.get(str(message.response_metadata.get("request_id")))
                    late = next((a for a in row["attempts"] if a["outcome"] == "late"), None)
                    if late is not None and late["text"]:
                        found.append(_amend(message, late["provider"], late["text"]))
    return found


def _amend(message: AnyMessage, provider: str, late: str) -> AnyMessage:
    text = f"{message.text}\n\n{provider} answered later:\n\n{late}"
    metadata = {**message.response_metadata, AMENDED: provider}
    return message.model_copy(update={"content": text, "response_metadata": metadata})


def _as_dict(message: AnyMessage) -> dict[str, object]:
    kept = ("id", "content", "response_metadata", "tool_calls")
    return {"role": "assistant", **{name: getattr(message, name) for name in kept}}


def _amended(messages: Sequence[AnyMessage], amended: Sequence[AnyMessage]) -> list[AnyMessage]:
    by_id = {message.id: message for message in amended}
    return [by_id.get(message.id, message) for message in messages]


def _chosen(state: State, context: Context) -> Chosen:
    options = Options()
    if (most := context.get("max_tokens")) is not None:
        if type(most) is not int or most < 1:
            raise UsageError(
                f"`max_tokens` must be a whole number from 1, not {most!r}", "max_tokens"
            )
        options["max_tokens"] = most
    if (temperature := context.get("temperature")) is not None:
        if type(temperature) not in (int, float) or not 0 <= temperature <= 2:
            said = f"`temperature` must be a number from 0 to 2, not {temperature!r}"
            raise UsageError(said, "temperature")
        options["temperature"] = temperature
    extra: dict[str, object] = {
        name: value
        for name in ("tools", "tool_choice", "response_format")
        if (value := context.get(name)) is not None
    }
    if extra:
        options["extra"] = extra
    return Chosen(
        category=state.get("category") or context.get("category"),
        provider=state.get("provider") or context.get("provider"),
        options=options,
    )


def _asked(
    state: State, messages: Sequence[AnyMessage], chosen: Chosen, settings: Settings
) -> Asked:
    """The prompt, or the last message, with what was said before it."""
    prompt = state.get("prompt")
    if prompt is None:
        if not messages:
            raise UsageError("give `messages` that end with the user's, or a `prompt`", "messages")
        said = _openai(messages, "messages")
        if said[-1]["role"] not in ("user", "tool", "function"):
            raise UsageError(
                f"the last of `messages` must be the user's, not of type {messages[-1].type}",
                "messages",
            )
        return checked(settings, None, messages=said, **chosen)
    given = bool(state.get("history"))
    before = _history(state) if given else messages
    asks = isinstance(prompt, str) and bool(prompt.strip())
    if all(map(_is_plain, before)) or not asks:
        plain = [Message(role=_ROLES[m.type], content=m.text) for m in before if m.type in _ROLES]
        return checked(settings, prompt, plain, **chosen)
    said = _openai(before, "history" if given else "messages")
    last = {"role": "user", "content": prompt}
    return checked(settings, None, messages=[*said, last], **chosen)


_ROLES: dict[str, Role] = {"system": "system", "human": "user", "ai": "assistant"}


def _is_plain(message: BaseMessage) -> bool:
    """Whether it is all text: no picture, no call of a tool and no result of one."""
    calls = isinstance(message, AIMessage) and (
        message.tool_calls or message.invalid_tool_calls or message.additional_kwargs
    )
    return message.type in _ROLES and isinstance(message.content, str) and not calls


def _history(state: State) -> Sequence[BaseMessage]:
    try:
        return convert_to_messages([dict(turn) for turn in state["history"]])
    except (ValueError, TypeError, NotImplementedError, KeyError):
        raise UsageError(
            '`history` must be a list of {"role": "user" or "assistant", "content": text}',
            "history",
        ) from None


def _openai(messages: Sequence[BaseMessage], param: str) -> list[dict[str, object]]:
    """In OpenAI's form; UsageError for what LangChain cannot write so, such as a video."""
    try:
        return openai_messages(messages)
    except (ValueError, TypeError, NotImplementedError, KeyError) as error:
        words = " ".join(str(error).split())
        raise UsageError(f"`{param}` cannot be passed on: {words}", param) from None

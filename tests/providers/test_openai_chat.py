from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket

import pytest

from config.models import Settings
from providers.base import CallOptions, ChatProvider, Message, Usage
from providers.messages import ImagePart, Part, TextPart, ToolCall
from providers.openai_chat import RESEND_S
from tests.conftest import SettingsFor
from tests.providers.conftest import HELLO, MakeProviders, ask
from tests.upstream import FAULTS, HTML_PAGE, Behaviour, Upstream, error_body


@pytest.fixture
def settings(settings_for: SettingsFor, upstream: Upstream) -> Settings:
    return settings_for(upstream)


@pytest.fixture
async def chat(make_providers: MakeProviders, settings: Settings) -> ChatProvider:
    """The provider `first`, on a model of that name."""
    return make_providers(settings).get("first")


# what a healthy host sends


async def test_a_token_is_handed_on_before_the_next_is_sent(
    chat: ChatProvider, upstream: Upstream
) -> None:
    gates = {index: asyncio.Event() for index in range(5)}
    upstream.enqueue(Behaviour(gates=gates))
    stream, seen = chat.stream(HELLO), []
    for gate in gates.values():
        gate.set()
        seen.append((await anext(stream)).text)
    assert seen == ["word0 ", "word1 ", "word2 ", "word3 ", "word4 "]


async def test_a_stream_is_read_to_its_end(chat: ChatProvider, upstream: Upstream) -> None:
    reply = await ask(chat)
    assert reply.text == "word0 word1 word2 word3 word4 "
    assert (reply.finish_reason, reply.usage, reply.error) == ("stop", Usage(1, 5), None)
    assert upstream.calls("first")[0].outcome == "done"


async def test_usage_may_come_with_the_finish_reason(
    chat: ChatProvider, upstream: Upstream
) -> None:
    upstream.enqueue(Behaviour(usage_with_finish=True))
    assert (await ask(chat)).usage == Usage(1, 5)


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(newline="\r\n"),
        Behaviour(comments=True),
        Behaviour(piece=1),
        Behaviour(piece=7, newline="\r\n", comments=True),
        Behaviour(done=False),
        Behaviour(finish_reason=None),
        Behaviour(usage=False),
        Behaviour(content_type="text/event-stream; charset=utf-8"),
    ],
    ids=lambda b: next(n for n in vars(b) if getattr(b, n) != getattr(Behaviour(), n)),
)
async def test_every_legal_form_of_the_stream_gives_the_same_answer(
    chat: ChatProvider, upstream: Upstream, behaviour: Behaviour
) -> None:
    upstream.enqueue(behaviour)
    reply = await ask(chat)
    assert (reply.text, reply.error) == ("word0 word1 word2 word3 word4 ", None)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_is_kept_apart_from_the_answer(
    chat: ChatProvider, upstream: Upstream, field: str
) -> None:
    upstream.enqueue(Behaviour(reasoning=("let me ", "think"), reasoning_field=field, text="42"))
    reply = await ask(chat)
    assert (reply.reasoning, reply.text) == ("let me think", "42")


DIRECT = "Paris it is."
ALOUD = "Hm, France.\n</think>\n\nParis."
"""As a template that opens the thought lets a model answer, on a host that parses nothing."""


def streamed(text: str) -> Behaviour:
    """Token by token, with the marks whole."""
    tokens = [
        {"content": token} for token in re.findall(r"</?think>|\s+|(?:(?!</?think>)\S)+", text)
    ]
    events = [{"delta": delta, "finish_reason": None} for delta in tokens]
    events.append({"delta": {}, "finish_reason": "stop"})
    lines = [f"data: {json.dumps({'choices': [event]})}\n\n" for event in events]
    return Behaviour(raw="".join(lines).encode() + b"data: [DONE]\n\n")


async def test_a_thought_whose_opening_mark_stood_in_the_prompt_is_learned_from_its_end(
    chat: ChatProvider, upstream: Upstream
) -> None:
    """The first such stream shows its thought; the next ones do not, until one does not think."""
    replies = []
    for answer in (ALOUD, ALOUD, DIRECT, DIRECT):
        upstream.enqueue(streamed(answer))
        reply = await ask(chat)
        replies.append((reply.reasoning, reply.text))
    thought = ("Hm, France.\n", "Paris.")
    assert replies == [("", ALOUD), thought, (DIRECT, DIRECT), ("", DIRECT)]


async def test_a_model_that_is_declared_to_think_first_shows_no_thought(
    make_providers: MakeProviders, settings: Settings, upstream: Upstream
) -> None:
    declared = [one.model_copy(update={"thinks_first": True}) for one in settings.providers]
    chat = make_providers(settings.model_copy(update={"providers": declared})).get("first")
    upstream.enqueue(streamed(ALOUD))
    reply = await ask(chat)
    assert (reply.reasoning, reply.text) == ("Hm, France.\n", "Paris.")


@pytest.mark.parametrize(
    "answer",
    [
        "The tag `</think>` closes a thought.\nIt stands alone.",
        "```\n<think>\n</think>\n```\nThat is how it looks.",
        "```\nhm\n</think>\n```\nThat is how it ends.",
    ],
)
async def test_an_answer_about_marks_of_thoughts_is_an_answer(
    chat: ChatProvider, upstream: Upstream, answer: str
) -> None:
    for _ in range(2):
        upstream.enqueue(streamed(answer))
        reply = await ask(chat)
        assert (reply.reasoning, reply.text) == ("", answer)


async def test_a_host_that_ignores_streaming_gives_one_delta(
    chat: ChatProvider, upstream: Upstream
) -> None:
    upstream.enqueue(Behaviour(ignores_stream=True, text="all at once"))
    reply = await ask(chat)
    assert (reply.text, reply.finish_reason) == ("all at once", "stop")
    assert reply.usage == Usage(1, 3)


async def test_tokens_are_handed_on_as_they_come(chat: ChatProvider, upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.enqueue(Behaviour(tokens=2, gates={1: gate}))
    stream = chat.stream(HELLO)
    assert (await anext(stream)).text == "word0 "
    gate.set()
    assert [delta.text async for delta in stream] == ["word1 ", "", ""]


async def test_a_complete_answer_does_not_wait_for_a_trailer_that_never_comes(
    chat: ChatProvider, upstream: Upstream
) -> None:
    event = json.dumps({"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]})
    upstream.enqueue(Behaviour(raw=f"data: {event}\n\n".encode(), linger=True))
    reply = await ask(chat)
    assert (reply.text, reply.error) == ("Hi", None)


async def test_a_connection_that_stays_open_after_the_end_mark_is_closed(
    chat: ChatProvider, upstream: Upstream
) -> None:
    upstream.enqueue(Behaviour(linger=True))
    assert (await ask(chat)).error is None
    await upstream.until(lambda: upstream.concurrent == 0)
    assert not upstream.connections


async def test_a_connection_is_kept_for_the_next_call(
    chat: ChatProvider, upstream: Upstream
) -> None:
    await chat.models()
    assert (await ask(chat)).error is None
    assert upstream.connections_made == 1


async def test_a_call_into_a_connection_that_the_host_just_closed_is_sent_again(
    chat: ChatProvider, upstream: Upstream
) -> None:
    await chat.models()
    upstream.enqueue(Behaviour(hang_up=True))
    assert (await ask(chat)).error is None
    assert (upstream.requests, upstream.connections_made) == (2, 2)


async def test_a_call_that_a_host_worked_on_before_it_hung_up_is_not_sent_again(
    chat: ChatProvider, upstream: Upstream
) -> None:
    await chat.models()
    upstream.enqueue(Behaviour(hang_up=True, header_delay_s=2 * RESEND_S))
    reply = await ask(chat)
    assert reply.error is not None
    assert (reply.error.kind, upstream.requests) == ("connection", 1)


async def test_a_host_that_hangs_up_on_a_fresh_connection_is_not_asked_again(
    chat: ChatProvider, upstream: Upstream
) -> None:
    upstream.enqueue(Behaviour(hang_up=True))
    reply = await ask(chat)
    assert reply.error is not None
    assert (reply.error.kind, upstream.requests) == ("connection", 1)


# what is asked


async def test_settings_of_the_provider_are_sent_and_the_callers_win(
    make_providers: MakeProviders, settings_for: SettingsFor, upstream: Upstream
) -> None:
    provider = {
        "name": "first", "host": "upstream", "model": "first", "max_tokens": 100,
        "temperature": 0.2, "top_p": 0.9, "instructions": "Be brief.",
        "extra": {"reasoning_effort": "low", "seed": 1},
    }  # fmt: skip
    others = [{"name": n, "host": "upstream", "model": n} for n in ("second", "cheap")]
    chat = make_providers(settings_for(upstream, providers=[provider, *others])).get("first")
    await ask(chat)
    sent = upstream.log[0].body
    assert (sent["max_tokens"], sent["temperature"], sent["top_p"]) == (100, 0.2, 0.9)
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert sent["stream_options"] == {"include_usage": True}
    assert (sent["reasoning_effort"], sent["seed"]) == ("low", 1)
    await ask(chat, options=CallOptions(7, 0.0, 0.5, ("END",), {"seed": 3}))
    sent = upstream.log[1].body
    assert (sent["max_tokens"], sent["temperature"], sent["top_p"]) == (7, 0.0, 0.5)
    assert (sent["stop"], sent["seed"]) == (["END"], 3)
    assert sent["reasoning_effort"] == "low"


async def test_all_system_messages_become_one(
    make_providers: MakeProviders, settings_for: SettingsFor, upstream: Upstream
) -> None:
    provider = {
        "name": "first", "host": "upstream", "model": "first", "instructions": "Be brief."
    }  # fmt: skip
    others = [{"name": n, "host": "upstream", "model": n} for n in ("second", "cheap")]
    chat = make_providers(settings_for(upstream, providers=[provider, *others])).get("first")
    upstream.behave("first", Behaviour(rejects=("two_systems",)))
    turns: list[Message] = [
        {"role": "system", "content": "You are kind."},
        {"role": "user", "content": "Hello"},
        {"role": "system", "content": "And funny."},
        {"role": "user", "content": "Hello?"},
    ]
    assert (await ask(chat, turns)).error is None
    sent = upstream.log[0].body["messages"]
    assert [m["role"] for m in sent] == ["system", "user", "user"]
    assert sent[0]["content"] == "Be brief.\n\nYou are kind.\n\nAnd funny."


async def test_a_picture_in_a_tools_result_follows_it_in_a_users_message(
    chat: ChatProvider, upstream: Upstream
) -> None:
    """OpenAI and most hosts take nothing but text in a tool's message."""
    calls = [
        ToolCall(id=name, type="function", function={"name": "look", "arguments": "{}"})
        for name in ("a", "b", "c")
    ]
    picture = ImagePart(type="image_url", image_url={"url": "data:image/png;base64,iVBORw0KGgo="})
    words = TextPart(type="text", text="a cat")
    results: dict[str, str | list[Part]] = {"a": [words, picture], "b": "none", "c": [picture]}
    messages = [
        *HELLO,
        Message(role="assistant", content="", tool_calls=calls),
        *(Message(role="tool", tool_call_id=n, content=c) for n, c in results.items()),
        Message(role="user", content="Well?"),
    ]
    await ask(chat, messages)
    sent = upstream.log[0].body["messages"]
    assert [m["role"] for m in sent] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "tool",
        "user",
        "user",
    ]
    assert [m["content"] for m in sent[2:5]] == ["a cat", "none", "[a picture]"]
    assert sent[5]["content"][1:] == [picture, picture]
    assert sent[6]["content"] == "Well?"


async def test_a_host_that_rejects_stream_options_is_asked_once_more_and_remembered(
    chat: ChatProvider, upstream: Upstream
) -> None:
    upstream.behave("first", FAULTS["rejects stream_options"])
    assert (await ask(chat)).error is None
    assert upstream.requests == 2
    assert (await ask(chat)).error is None
    assert upstream.requests == 3
    assert ["stream_options" in call.body for call in upstream.log] == [True, False, False]


async def test_max_tokens_goes_under_its_newer_name_where_the_older_is_refused(
    chat: ChatProvider, upstream: Upstream
) -> None:
    message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
    body = error_body(f"{message} 'max_completion_tokens' instead.", "invalid_request_error")
    upstream.enqueue(Behaviour(status=400, body=body))
    assert (await ask(chat, options=CallOptions(max_tokens=9))).error is None
    assert upstream.log[1].body["max_completion_tokens"] == 9
    assert "max_tokens" not in upstream.log[1].body


VALUES = [
    ("reasoning_effort", "max", "low", "Unsupported value: 'max' is not supported with the 'first'"
     " model. Supported values are: 'low', 'medium', and 'high'."),
    ("temperature", 1.5, 0.5, "Invalid parameter: temperature must be between 0 and 1"),
    ("max_tokens", 50_000, 9, "max_tokens > 4096 is not supported for this model"),
    ("seed", 2**60, 7, "seed: not allowed, must be less than 2147483647"),
    ("verbosity", "loud", "low", "verbosity: unknown variant `loud`, expected `low`"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "refused", "taken", "words"), VALUES)
async def test_a_refused_value_takes_the_parameter_from_no_other_caller(
    name: str, refused: object, taken: object, words: str, chat: ChatProvider, upstream: Upstream
) -> None:
    said = {"message": words, "param": name, "code": "unsupported_value"}
    no, yes = Behaviour(status=400, body={"error": said}), Behaviour()
    upstream.respond("first", lambda call: no if call.body.get(name) == refused else yes)

    async def asked(value: object) -> list[object]:
        begun = upstream.requests
        assert (await ask(chat, options=CallOptions(extra={name: value}))).error is None
        return [call.body.get(name) for call in upstream.log[begun:]]

    assert await asked(refused) == [refused, None]
    assert await asked(taken) == [taken]
    assert await asked(refused) == [None]


async def test_a_value_that_is_refused_under_the_newer_name_is_left_out(
    chat: ChatProvider, upstream: Upstream
) -> None:
    renamed = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    for words in (renamed, "max_completion_tokens: not supported, must be at most 4096"):
        upstream.enqueue(Behaviour(status=400, body=error_body(words, "x")))
    assert (await ask(chat, options=CallOptions(max_tokens=5000))).error is None
    assert not {"max_tokens", "max_completion_tokens"} & upstream.log[-1].body.keys()
    assert (await ask(chat, options=CallOptions(max_tokens=9))).error is None
    assert upstream.log[-1].body["max_completion_tokens"] == 9


async def test_a_parameter_of_which_only_the_default_is_taken_is_left_out_for_all(
    chat: ChatProvider, upstream: Upstream
) -> None:
    words = "'temperature' does not support 0.2 with this model. Only the default (1) value is"
    body = error_body(f"Unsupported value: {words} supported.", "x", "unsupported_value")
    upstream.enqueue(Behaviour(status=400, body=body))
    for temperature in (0.2, 0.3):
        assert (await ask(chat, options=CallOptions(temperature=temperature))).error is None
    assert ["temperature" in call.body for call in upstream.log] == [True, False, False]


async def test_a_refusal_of_something_else_is_not_asked_again(
    chat: ChatProvider, upstream: Upstream
) -> None:
    upstream.enqueue(Behaviour(status=400, body=error_body("temperature is too high", "x")))
    reply = await ask(chat)
    assert reply.error is not None
    assert (reply.error.kind, upstream.requests) == ("bad_request", 1)


async def test_the_key_is_sent_and_never_shown(
    make_providers: MakeProviders, settings_for: SettingsFor
) -> None:
    async with Upstream(key="right-key") as upstream:
        settings = settings_for(
            upstream,
            hosts={"upstream": {"base_url": upstream.base_url, "api_key_env": "UP_KEY"}},
            environ={"UP_KEY": "wrong-key-1234"},
        )
        error = (await ask(make_providers(settings).get("first"))).error
    assert error is not None
    assert (error.kind, error.status) == ("auth", 401)
    assert "UP_KEY" in str(error)
    assert "wrong-key" not in str(error)


async def test_the_models_of_a_host_are_listed(chat: ChatProvider, upstream: Upstream) -> None:
    upstream.models = ["a", "b"]
    assert await chat.models() == ["a", "b"]


# what goes wrong

KINDS = {
    "429 with Retry-After": ("rate_limited", 429),
    "429": ("rate_limited", 429),
    "500": ("server", 500),
    "503": ("server", 503),
    "401": ("auth", 401),
    "404": ("not_found", 404),
    "reset": ("connection", None),
    "cut": ("connection", None),
    "closed": ("connection", None),
    "ended early": ("connection", None),
    "malformed event": ("bad_reply", None),
    "error event": ("server", 503),
    "context length": ("context_length", 400),
    "content filter": ("content_filter", None),
    "content filter 400": ("content_filter", 400),
    "empty": ("bad_reply", None),
    "10 MB": ("bad_reply", None),
    "HTML page": ("bad_reply", 200),
}


@pytest.mark.parametrize("fault", KINDS)
async def test_each_fault_is_one_call_and_one_kind_of_error(
    chat: ChatProvider, upstream: Upstream, fault: str
) -> None:
    upstream.enqueue(FAULTS[fault])
    reply = await ask(chat)
    assert reply.error is not None
    assert (reply.error.kind, reply.error.status) == KINDS[fault]
    assert str(reply.error).startswith("first at upstream (127.0.0.1:")
    assert upstream.requests == 1
    await upstream.until(lambda: upstream.concurrent == 0)
    assert (await ask(chat)).error is None  # and the provider works again at once


async def test_retry_after_is_handed_on(chat: ChatProvider, upstream: Upstream) -> None:
    upstream.enqueue(FAULTS["429 with Retry-After"])
    error = (await ask(chat)).error
    assert error is not None
    assert error.retry_after_s == 5


@pytest.mark.parametrize("fault", ["cut", "closed", "ended early"])
async def test_what_came_before_a_cut_is_handed_on(
    chat: ChatProvider, upstream: Upstream, fault: str
) -> None:
    gate = asyncio.Event()
    behaviour = FAULTS[fault]
    upstream.enqueue(Behaviour(tokens=60, cut_after=2, cut=behaviour.cut, gates={2: gate}))
    stream = chat.stream(HELLO)
    seen = ""
    while seen != "word0 word1 ":
        seen += (await anext(stream)).text
    gate.set()
    with pytest.raises(Exception, match="cut"):
        await anext(stream)


async def test_an_error_page_that_never_ends_still_has_its_status(
    chat: ChatProvider, upstream: Upstream
) -> None:
    page = Behaviour(status=503, body=HTML_PAGE, content_type="text/html", hang="after_headers")
    upstream.enqueue(page)
    error = (await ask(chat)).error
    assert error is not None
    assert (error.kind, error.status) == ("server", 503)


async def test_a_refused_connection_is_a_connection_error(
    make_providers: MakeProviders, settings_for: SettingsFor
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        settings = settings_for(hosts={"upstream": {"base_url": url}})
        error = (await ask(make_providers(settings).get("first"))).error
    assert error is not None
    assert (error.kind, "cannot be reached" in str(error)) == ("connection", True)


async def test_an_unknown_host_name_is_a_connection_error(
    make_providers: MakeProviders, settings_for: SettingsFor
) -> None:
    settings = settings_for(hosts={"upstream": {"base_url": "http://no.such.host.invalid/v1"}})
    error = (await ask(make_providers(settings).get("first"))).error
    assert error is not None
    assert error.kind == "connection"


async def test_a_redirect_is_not_followed(chat: ChatProvider, upstream: Upstream) -> None:
    target = {"location": f"{upstream.base_url}/chat/completions"}
    upstream.enqueue(Behaviour(status=307, body="", headers=target))
    error = (await ask(chat)).error
    assert error is not None
    assert (error.kind, error.status, upstream.requests) == ("bad_reply", 307, 1)


# who leaves


@pytest.mark.parametrize(
    "behaviour",
    [
        FAULTS["hang before headers"],
        FAULTS["hang after headers"],
        FAULTS["stall"],
        FAULTS["endless repetition"],
        FAULTS["slow drip"],
    ],
)
async def test_a_cancelled_call_is_aborted_upstream_and_leaves_nothing(
    chat: ChatProvider, upstream: Upstream, behaviour: Behaviour
) -> None:
    upstream.behave("first", behaviour)
    before = asyncio.all_tasks()
    task = asyncio.create_task(ask(chat))
    await upstream.until(lambda: upstream.concurrent == 1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await upstream.until(lambda: upstream.concurrent == 0)
    assert (upstream.aborted, len(upstream.connections)) == (1, 0)
    assert asyncio.all_tasks() == before


async def test_closing_the_iterator_ends_the_call_upstream(
    chat: ChatProvider, upstream: Upstream
) -> None:
    upstream.behave("first", FAULTS["stall"])
    stream = chat.stream(HELLO)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    await upstream.until(lambda: upstream.aborted == 1)
    assert not upstream.connections


async def test_calls_that_hang_do_not_keep_healthy_ones_waiting(
    chat: ChatProvider, upstream: Upstream
) -> None:
    upstream.behave("first", FAULTS["hang before headers"])
    hung = [asyncio.create_task(ask(chat)) for _ in range(150)]
    await upstream.until(lambda: upstream.concurrent == 150)
    upstream.behave("first", Behaviour())
    assert (await ask(chat)).error is None
    for task in hung:
        task.cancel()
    await asyncio.gather(*hung, return_exceptions=True)
    await upstream.until(lambda: upstream.concurrent == 0)


# for LangChain code


async def test_the_provider_is_also_a_langchain_model(
    make_providers: MakeProviders, settings: Settings, upstream: Upstream
) -> None:
    chat = make_providers(settings).get("first")
    message = await chat.chat_model.ainvoke("Hello")  # type: ignore[attr-defined]
    assert message.content == "word0 word1 word2 word3 word4 "
    assert message.usage_metadata["output_tokens"] == 5
    upstream.enqueue(FAULTS["500"])
    with pytest.raises(Exception, match="failing with 500"):
        await chat.chat_model.ainvoke("Hello")  # type: ignore[attr-defined]
    assert upstream.requests == 2  # no retries of its own

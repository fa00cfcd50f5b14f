"""Requests of coding agents and chat applications that cannot run here.

The bodies are written by hand, with values of our own; none was recorded from a run. Cline's and
Continue's have the fields that their public sources send (`src/core/api/providers/openai.ts` of
cline/cline, `core/llm/llms/OpenAI.ts` of continuedev/continue), Open WebUI's those of a chat that
its backend sends on (without `metadata`). Claude Code's has fields that Anthropic's API documents.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.conftest import Make, Serve, Service
from tests.upstream import Behaviour, Upstream

PATH = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
CACHED = {"cache_control": {"type": "ephemeral"}}
REMINDER = "<system-reminder>\nThe user opened README.md.\n</system-reminder>"

CLAUDE_CODE = {
    "model": "claude-sonnet-5",
    "max_tokens": 32000,
    "temperature": 1,
    "stream": True,
    "system": [
        {"type": "text", "text": "You are a coding agent.", **CACHED},
        {"type": "text", "text": "Working directory: /home/me/project", **CACHED},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": REMINDER},
                {"type": "text", "text": "What does read_file say?", **CACHED},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I read it.", "signature": "c2lnbmVk"},
                {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "a"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "a file"}],
                    **CACHED,
                }
            ],
        },
    ],
    "tools": [
        {"name": "read_file", "description": "Reads.", "input_schema": PATH},
        {"name": "web_search", "type": "web_search_20250305", "max_uses": 8},
    ],
    "thinking": {"type": "enabled", "budget_tokens": 31999},
    "metadata": {"user_id": "user_1_account__session_1"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
}
OPEN_WEBUI = {
    "model": "auto",
    "stream": True,
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Use read_file on 'a'."},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "read_file", "description": "Reads.", "parameters": PATH},
        }
    ],
    "stream_options": {"include_usage": True},
}
CLINE = {
    "model": "auto",
    "messages": [
        {"role": "system", "content": "You are a coding agent with tools in XML."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<task>\nSay hello.\n</task>"},
                {"type": "text", "text": "<environment_details>\nnone\n</environment_details>"},
            ],
        },
    ],
    "temperature": 0,
    "stream": True,
    "stream_options": {"include_usage": True},
}
CONTINUE_CHAT = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}],
    "model": "auto",
    "max_tokens": 2048,
    "stream": True,
    "tools": [
        {
            "type": "function",
            "function": {"name": "read_file", "description": "Reads.", "parameters": PATH},
            "displayTitle": "Read File",
            "readonly": True,
        }
    ],
    "parallel_tool_calls": False,
}
CONTINUE_COMPLETION = {
    "model": "auto",
    "prompt": "def greet():\n    ",
    "max_tokens": 64,
    "temperature": 0.01,
    "stop": ["\n\n", "def "],
    "stream": True,
}


@pytest.fixture
async def aliased(serve: Serve, settings: Make, upstream: Upstream) -> Service:
    """A service that knows the names that these programs insist on."""
    for name in ("first", "second", "cheap"):
        upstream.behave(name, Behaviour(capable=True))
    return await serve(settings(aliases={"claude-*": "auto"}))


@pytest.mark.parametrize(
    ("path", "body", "ends_with", "says"),
    [
        ("/v1/messages", CLAUDE_CODE, "message_stop", "The tools say: a file"),
        ("/v1/chat/completions", OPEN_WEBUI, "[DONE]", "read_file"),
        ("/v1/chat/completions", CLINE, "[DONE]", "word0"),
        ("/v1/chat/completions", CONTINUE_CHAT, "[DONE]", "word0"),
        ("/v1/completions", CONTINUE_COMPLETION, "[DONE]", "word0"),
    ],
    ids=["Claude Code", "Open WebUI", "Cline", "Continue", "Continue's completion"],
)
async def test_an_applications_request_is_answered_to_its_end(
    path: str,
    body: dict[str, Any],
    ends_with: str,
    says: str,
    aliased: Service,
) -> None:
    reply = await aliased.http.post(path, json=body)
    assert reply.status_code == 200, reply.text
    *pieces, last = reply.text.strip().split("\n\n")
    assert ends_with in last
    assert says in "".join(map(said, pieces))


def said(event: str) -> str:
    """The text and the names of tools in an event of a stream."""
    data = json.loads(event.rpartition("data: ")[2])
    if "delta" in data:
        return str(data["delta"].get("text", ""))
    choice = (data.get("choices") or [{}])[0]
    delta = choice.get("delta") or {"content": choice.get("text")}
    names = [call["function"].get("name", "") for call in delta.get("tool_calls") or []]
    return (delta.get("content") or "") + "".join(names)

"""How often the embedded LLaMA calls the right tool rightly, and fills in a schema rightly:
`python -m benchmarks.embedded_tools [N]`, a hundred prompts three ways in some four minutes.

offered   four tools in the request, `tool_choice: required`: what llama.cpp's server makes of them
grammar   the tools described in a system message, and its grammar allows nothing but a call of one
schema    its grammar allows nothing but the arguments of the one right tool, described likewise

A call is valid if it is one call of a tool that there is, with arguments that keep its schema. It
is right if it is the tool that the prompt is about and the value that the prompt names stands in
its arguments. Exit 1 where a way has fewer than 90 of 100 right: the shipped entries of the
embedded LLaMA then declare that they cannot do it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema

from config.hosts import Host, Provider
from providers.base import CallOptions, Message, ProviderError
from providers.embedded import EmbeddedLlama
from providers.llama_server import BUNDLED_MODEL
from providers.openai_chat import OpenAIChat
from providers.pool import Pool

ENOUGH = 0.9
CITIES = ("Lisbon", "Oslo", "Kyoto", "Lima", "Accra")
NUMBERS = (3, 12, 40, 75, 250)


def tool(name: str, what: str, argument: str, kind: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {argument: {"type": kind}},
        "required": [argument],
        "additionalProperties": False,
    }
    function = {"name": name, "description": what, "parameters": parameters}
    return {"type": "function", "function": function}


TOOLS = [
    tool("get_weather", "The weather in a city.", "city", "string"),
    tool("set_timer", "Starts a timer of so many minutes.", "minutes", "integer"),
    tool("square", "The square of a number.", "number", "integer"),
    tool("find_train", "The next train to a city.", "city", "string"),
]
PARAMETERS = {t["function"]["name"]: t["function"]["parameters"] for t in TOOLS}
ASKED = {
    "get_weather": (CITIES, ("What is the weather in {}?", "Is it raining in {}?", "How warm is it "
                             "in {} today?", "Do I need a coat in {}?", "Weather for {}, please.")),
    "set_timer": (NUMBERS, ("Set a timer for {} minutes.", "Wake me in {} minutes.", "Timer: {} "
                            "minutes", "Count down {} minutes.", "Remind me in {} minutes.")),
    "square": (NUMBERS, ("What is {} squared?", "Square {}.", "Compute {} times itself.",
                         "The square of {}?", "Multiply {} by {}.")),
    "find_train": (CITIES, ("When is the next train to {}?", "I want to go to {} by train.",
                            "Find a train to {}.", "Train to {}?", "How do I get to {} by rail?")),
}  # fmt: skip


class Case(NamedTuple):
    prompt: str
    tool: str
    """The one that the prompt is about."""
    value: str | int
    """What the prompt names."""


def cases() -> list[Case]:
    return [
        Case(form.format(value, value), name, value)
        for name, (values, forms) in ASKED.items()
        for value, form in itertools.product(values, forms)
    ]


class Question(NamedTuple):
    """A case as one of the ways asks it."""

    system: str | None
    extra: dict[str, object]


def offered(_: Case) -> Question:
    return Question(None, {"tools": TOOLS, "tool_choice": "required"})


def grammar(_: Case) -> Question:
    listed = "\n".join(
        f"- {f['name']}({', '.join(f['parameters']['properties'])}): {f['description']}"
        for f in (t["function"] for t in TOOLS)
    )
    system = (
        f"You call one of these tools:\n{listed}\n"
        'Answer as {"name": the tool, "arguments": {its arguments from the question}}.'
    )
    forms = [_object(name={"const": n}, arguments=p) for n, p in PARAMETERS.items()]
    return Question(system, _format({"anyOf": forms}))


def schema(case: Case) -> Question:
    what = next(iter(PARAMETERS[case.tool]["properties"]))
    return Question(
        f"Give the {what} that the question names, as JSON.", _format(PARAMETERS[case.tool])
    )


WAYS: dict[str, Callable[[Case], Question]] = {
    "offered": offered,
    "grammar": grammar,
    "schema": schema,
}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _format(wanted: dict[str, Any]) -> dict[str, object]:
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": wanted},
        }
    }


async def ask(chat: OpenAIChat, case: Case, way: str) -> list[tuple[str, str]]:
    """The calls in its answer, as tool and arguments."""
    question = WAYS[way](case)
    messages = [Message(role="user", content=case.prompt)]
    if question.system:
        messages.insert(0, Message(role="system", content=question.system))
    options = CallOptions(max_tokens=64, temperature=0.0, extra=question.extra)
    text, found = "", dict[int, list[str]]()
    async for delta in chat.stream(messages, options):
        text += delta.text
        for piece in delta.tool_calls:
            call = found.setdefault(piece.index, ["", ""])
            call[0], call[1] = call[0] or piece.name, call[1] + piece.arguments
    if way == "schema":
        return [(case.tool, text)]
    return [(name, arguments) for name, arguments in found.values()] or written_calls(text)


def written_calls(text: str) -> list[tuple[str, str]]:
    """A call that was written as text; nothing in prose."""
    try:
        said = json.loads(text)
        return [(str(said["name"]), json.dumps(said["arguments"]))]
    except (ValueError, KeyError, TypeError):
        return []


def valid(made: list[tuple[str, str]]) -> bool:
    try:
        ((name, arguments),) = made
        jsonschema.validate(json.loads(arguments), PARAMETERS[name])
    except (ValueError, KeyError, jsonschema.ValidationError):
        return False
    return True


def right(made: list[tuple[str, str]], case: Case) -> bool:
    return valid(made) and made[0][0] == case.tool and case.value in json.loads(made[0][1]).values()


async def measure(most: int) -> int:
    asked = cases()[:: max(1, 100 // most)]
    enough = True
    with tempfile.TemporaryDirectory() as folder:
        llama = EmbeddedLlama(BUNDLED_MODEL, Path(folder))
        provider = Provider(name="llama", host="embedded", model=BUNDLED_MODEL)
        provider = provider.model_copy(update={"resolved_model": BUNDLED_MODEL})
        chat = OpenAIChat(provider, Pool("embedded", Host(kind="llama_cpp")), llama)
        for way in WAYS:
            made = [await _tried(chat, case, way) for case in asked]
            good = sum(map(right, made, asked))
            said = f"{sum(map(valid, made))} of {len(asked)} valid, {good} right"
            print(f"{way:8}  {said}", flush=True)
            enough = enough and good >= ENOUGH * len(asked)
        await chat.close()
        await llama.stop()
    return 0 if enough else 1


async def _tried(chat: OpenAIChat, case: Case, way: str) -> list[tuple[str, str]]:
    try:
        return await ask(chat, case, way)
    except ProviderError as error:
        print(f"{case.prompt!r}: {error}", file=sys.stderr)
        return []


if __name__ == "__main__":
    sys.exit(asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100)))

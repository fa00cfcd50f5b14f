"""How often the embedded LLaMA calls the right tool rightly, by llama.cpp's grammar:
`python -m benchmarks.embedded_tools [N]`.

Each prompt is asked with four tools and `tool_choice: required`. A call is right if it is the tool
that the prompt is about, its arguments keep the tool's schema, and the value that the prompt names
stands in them. Exit 1 below 90 of 100: then the provider is declared incapable.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from config.models import Host, Provider
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


def cases() -> list[tuple[str, str, Any]]:
    """Prompt, the tool that it is about, and the value that it names."""
    return [
        (form.format(value, value), name, value)
        for name, (values, forms) in ASKED.items()
        for value, form in itertools.product(values, forms)
    ]


async def calls(chat: OpenAIChat, prompt: str) -> list[tuple[str, str]]:
    options = CallOptions(
        max_tokens=96, temperature=0.0, extra={"tools": TOOLS, "tool_choice": "required"}
    )
    found: dict[int, list[str]] = {}
    async for delta in chat.stream([Message(role="user", content=prompt)], options):
        for piece in delta.tool_calls:
            call = found.setdefault(piece.index, ["", ""])
            call[0], call[1] = call[0] or piece.name, call[1] + piece.arguments
    return [(name, arguments) for name, arguments in found.values()]


def right(made: list[tuple[str, str]], wanted: str, value: Any) -> bool:
    try:
        return len(made) == 1 and made[0][0] == wanted and value in json.loads(made[0][1]).values()
    except (ValueError, AttributeError):
        return False


async def measure(most: int) -> int:
    good = valid = asked = 0
    with tempfile.TemporaryDirectory() as folder:
        llama = EmbeddedLlama(BUNDLED_MODEL, Path(folder))
        provider = Provider(name="llama", host="embedded", model=BUNDLED_MODEL)
        provider = provider.model_copy(update={"resolved_model": BUNDLED_MODEL})
        chat = OpenAIChat(provider, Pool("embedded", Host(kind="llama_cpp")), llama)
        for prompt, wanted, value in cases()[:: max(1, 100 // most)]:
            asked += 1
            try:
                made = await calls(chat, prompt)
            except ProviderError as error:
                print(f"{prompt!r}: {error}", file=sys.stderr)
                continue
            valid += bool(made)
            good += right(made, wanted, value)
        await chat.close()
        await llama.stop()
    print(f"calls: {valid} of {asked} valid, {good} of {asked} right")
    return 0 if good >= ENOUGH * asked else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100)))

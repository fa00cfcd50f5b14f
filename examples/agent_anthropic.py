"""An agent with a tool, with nothing but Anthropic's own client (`pip install anthropic`).

python -m examples.agent_anthropic "What is the weather in Lisbon?"
"""

from __future__ import annotations

import sys
from typing import Any

from anthropic import Anthropic

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"name": "get_weather", "description": "The weather.", "input_schema": CITY}


def get_weather(city: str) -> str:
    return f"22 degrees and sunny in {city}"


def answer(question: str, client: Anthropic) -> str:
    messages: list[Any] = [{"role": "user", "content": question}]
    while True:
        done: Any = client.messages.create(
            model="auto", max_tokens=500, messages=messages, tools=[WEATHER]
        )
        if done.stop_reason != "tool_use":
            return "".join(block.text for block in done.content if block.type == "text")
        messages.append({"role": "assistant", "content": done.content})
        calls = [block for block in done.content if block.type == "tool_use"]
        results = [{"tool_use_id": call.id, "content": get_weather(**call.input)} for call in calls]
        said = [{"type": "tool_result", **result} for result in results]
        messages.append({"role": "user", "content": said})


if __name__ == "__main__":
    print(answer(sys.argv[1], Anthropic(base_url="http://127.0.0.1:7860", api_key="none")))

"""An agent with a tool, with nothing but OpenAI's own client.

python -m examples.agent_openai "What is the weather in Lisbon?"
"""

from __future__ import annotations

import json
import sys
from typing import Any

from openai import OpenAI

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "The weather in a city.", "parameters": CITY}


def get_weather(city: str) -> str:
    return f"22 degrees and sunny in {city}"


def answer(question: str, client: OpenAI) -> str:
    messages: list[Any] = [{"role": "user", "content": question}]
    tools: Any = [{"type": "function", "function": WEATHER}]
    while True:
        done = client.chat.completions.create(model="auto", messages=messages, tools=tools)
        message: Any = done.choices[0].message
        if not message.tool_calls:
            return str(message.content)
        messages.append(message)
        for call in message.tool_calls:
            result = get_weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


if __name__ == "__main__":
    print(answer(sys.argv[1], OpenAI(base_url="http://127.0.0.1:7860/v1", api_key="none")))

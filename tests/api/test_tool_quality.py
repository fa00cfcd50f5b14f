"""What a provider's calls of tools are worth to the ranking, from its stream to the log."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import Service
from tests.upstream import Behaviour, Upstream

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
        },
    },
}
ASKED: list[Any] = [{"role": "user", "content": "What is the weather in Lisbon?"}]


@pytest.mark.parametrize(
    ("call", "worth"),
    [
        (("get_weather", '{"location": "Lisbon"}'), 1.0),
        (("get_weather", '{"place": "Lisbon"}'), 0.6),
        (("get_weather", '["Lisbon"]'), 0.3),
        (("get_stock", '{"location": "Lisbon"}'), 0.2),
    ],
)
async def test_the_log_scores_calls_by_their_form_and_their_tool(
    call: tuple[str, str], worth: float, service: Service, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text="", calls=(call,)))
    client = await service.client()
    done = await client.chat.completions.create(
        model="auto",
        messages=ASKED,
        tools=[TOOL],  # type: ignore[list-item]
    )
    assert done.choices[0].finish_reason == "tool_calls"
    (row,) = await service.router.interactions(limit=1)
    attempt = row["attempts"][0]
    assert (attempt["provider"], attempt["quality"]) == ("first", worth)

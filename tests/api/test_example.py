"""The agent of `examples/` that needs nothing but OpenAI's client, against the service."""

from __future__ import annotations

import asyncio

import openai

from examples.agent_openai import answer
from tests.api.conftest import Service
from tests.upstream import Behaviour, Upstream


async def test_the_openai_agent_answers_by_its_tool(service: Service, upstream: Upstream) -> None:
    for model in ("first", "cheap"):
        upstream.behave(model, Behaviour(capable=True))
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="none", max_retries=0) as client:
        question = "What is the weather in Lisbon?"
        said = await asyncio.to_thread(answer, question, client)
    assert said == "The tools say: 22 degrees and sunny in Lisbon"

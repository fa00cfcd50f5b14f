"""Where the service is, and what every client is asked to do with it."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def url() -> str:
    """The service's address, without `/v1`."""
    return os.environ["ROUTER_URL"]


@pytest.fixture(scope="session")
def key() -> str:
    return os.environ["ROUTER_KEY"]


@pytest.fixture(scope="session", autouse=True)
def alone() -> None:
    """No client reports its use, or looks for anything, elsewhere."""
    os.environ |= {"OPENAI_AGENTS_DISABLE_TRACING": "1", "HF_HUB_OFFLINE": "1"}


def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: The city's name.
    """
    return f"sunny in {city}"


QUESTION = "What is the weather in Lisbon?"
ANSWER = "The tools say: sunny in Lisbon"
"""What the scripted model says once it has the tool's result."""

"""Where the service is."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def url() -> str:
    """The service's address, with `/v1`."""
    return f"{os.environ['ROUTER_URL']}/v1"


@pytest.fixture(scope="session")
def key() -> str:
    return os.environ["ROUTER_KEY"]

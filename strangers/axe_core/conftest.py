"""The service whose page is examined, and the browser that shows it."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def url() -> str:
    return os.environ["ROUTER_URL"]


@pytest.fixture(scope="session")
def chromium() -> str:
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if path is None:
        reason = "Chromium is not installed: apt-get install -y chromium-headless-shell"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return path

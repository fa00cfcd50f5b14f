"""The service that strangers meet, its page too: `app.py` over a scripted upstream, on loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import CATEGORIES
from tests.upstream import FAULTS, Behaviour, Upstream

ROOT = Path(__file__).parent.parent
START_S = 90.0
KEY = "sk-stranger-0123456789"

PROVIDERS = ("scripted", "broken", "cut", "cheap")
"""`scripted` answers as asked, with tools and schemas too, `broken` fails at once, `cut` breaks its
stream in the middle, `cheap` is the fallback and answers as `scripted` does."""


@contextmanager
def running_service() -> Iterator[Mapping[str, str]]:
    """The service on a free port; yields the variables by which a suite finds it:
    `ROUTER_URL` (without `/v1`) and `ROUTER_KEY`."""
    with Upstream.in_thread() as upstream, tempfile.TemporaryDirectory() as folder:
        upstream.behave("scripted", Behaviour(capable=True))
        upstream.behave("broken", FAULTS["500"])
        upstream.behave("cut", Behaviour(tokens=60, capable=True, cut_after=3))
        upstream.behave("cheap", Behaviour(text="The fallback answers.", capable=True))
        write_config(Path(folder) / "config", upstream.base_url)
        port = free_port()
        command = [sys.executable, "app.py", "--port", str(port)]
        command += ["--config", f"{folder}/config", "--data", f"{folder}/data"]
        environment = {"ROUTER_API_KEYS": KEY, "PATH": "/usr/bin:/bin", "HOME": folder}
        log = Path(folder) / "service.log"
        with log.open("wb") as output:
            service = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=output
            )
        try:
            wait_until_ready(service, port, log)
            yield {"ROUTER_URL": f"http://127.0.0.1:{port}", "ROUTER_KEY": KEY}
        finally:
            service.terminate()
            service.wait(30)


def write_config(folder: Path, base_url: str) -> None:
    """A configuration whose every provider is at the scripted upstream."""
    names = list(PROVIDERS)
    order = ["scripted", "cheap"]
    providers: dict[str, Any] = {
        "hosts": {"loopback": {"base_url": base_url}},
        "providers": [
            {
                "name": name,
                "host": "loopback",
                "model": name,
                "cost": {"input": 1.0, "output": 2.0},
            }
            for name in names
        ],
        "priorities": {category: list(order) for category in CATEGORIES},
        "fallback": {"provider": "cheap", "start": "hedged"},
        "ranking": {"explore_min": 0.0, "explore_max": 0.0, "margin": 1.0},  # as declared, always
        "breaker": {"failures": 1_000_000, "share": 1.0, "window": 1_000_000},
    }
    folder.mkdir(parents=True)
    (folder / "providers.yaml").write_text(yaml.safe_dump(providers))
    (folder / "categories.yaml").write_text(yaml.safe_dump(CATEGORIES))
    shutil.copytree(ROOT / "config" / "knowledge" / "about", folder / "knowledge" / "about")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_until_ready(service: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until `/health` answers; RuntimeError with the service's own words if it never does."""
    give_up_at = time.monotonic() + START_S
    while time.monotonic() < give_up_at and service.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"the service did not start:\n{log.read_text()[-4000:]}")

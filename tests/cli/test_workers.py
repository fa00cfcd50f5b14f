"""`--workers 2`: two serving processes on one port, and the one that watches them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app import main
from strangers.service import free_port, wait_until_ready, write_config
from tests.upstream import Behaviour, Upstream

ROOT = Path(__file__).parent.parent.parent
PROMPT = {"model": "auto", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}


class Service:
    """`app.py --workers 2` over a scripted upstream."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        write_config(folder / "config", upstream.base_url)
        self.port = free_port()
        self.log = folder / "service.log"
        command = [sys.executable, "app.py", "--port", str(self.port), "--workers", "2"]
        command += ["--config", f"{folder}/config", "--data", f"{folder}/data"]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
                stdout=output,
                stderr=output,
            )
        self.first_taken_with = self._workers_at_first_connection()
        wait_until_ready(self.process, self.port, self.log)

    def _workers_at_first_connection(self) -> list[int]:
        """The workers that there are when the port first takes a connection."""
        while self.process.poll() is None:
            with suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            time.sleep(0.02)
        return self.workers()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[int]:
        """The process ids of the workers: children of the process that they are forked from."""
        return [pid for middle in children(self.process.pid) for pid in children(middle)]

    async def whole(self) -> list[int]:
        """The same, once both are there."""
        async with asyncio.timeout(60):
            while len(found := self.workers()) < 2:  # noqa: ASYNC110 - seen from outside only
                await asyncio.sleep(0.05)
        return found


def children(pid: int) -> list[int]:
    with suppress(FileNotFoundError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def alive(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream.in_thread() as upstream:
        upstream.behave("scripted", Behaviour(text="Rayleigh scattering."))
        upstream.behave("cheap", Behaviour(text="Scattering."))
        yield upstream


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("workers"), upstream)
    yield service
    service.process.kill()
    service.process.wait(30)


async def ask(client: httpx2.AsyncClient) -> str:
    """A request on a connection of its own, so that any of the workers may be the one."""
    reply = await client.post(
        "/v1/chat/completions", json=PROMPT, headers={"connection": "close"}, timeout=60
    )
    return str(reply.raise_for_status().json()["choices"][0]["message"]["content"])


async def settled(client: httpx2.AsyncClient, path: str) -> httpx2.Response:
    """What comes once no worker is being replaced any more."""
    async with asyncio.timeout(90):
        while True:
            with suppress(httpx2.TransportError):
                reply = await client.get(path, headers={"connection": "close"})
                if reply.status_code != 503:
                    return reply
            await asyncio.sleep(0.1)


async def counted(client: httpx2.AsyncClient) -> float:
    text = (await client.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("router_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.slow
def test_nothing_waits_for_a_service_that_has_yet_to_start(service: Service) -> None:
    """A load balancer would leave requests there for all of a restart; refused, they go on."""
    assert service.first_taken_with


async def test_two_workers_serve_are_counted_together_and_replaced(service: Service) -> None:
    before = set(await service.whole())
    async with httpx2.AsyncClient(base_url=service.url, trust_env=False) as client:
        texts = await asyncio.gather(*(ask(client) for _ in range(12)))
        assert texts == ["Rayleigh scattering."] * 12
        assert await counted(client) == 12
        for _ in range(6):  # through whichever worker
            page = await settled(client, "/")
            assert (page.status_code, "<html" in page.text) == (200, True)
        rows = (await client.get("/router/interactions?limit=100")).json()
        assert len(_rows(rows)) == 12
        victim = min(before)  # the first one has the page
        os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(60):
            while victim in await service.whole():  # noqa: ASYNC110 - seen from outside only
                await asyncio.sleep(0.05)
        assert await settled(client, "/health")
        assert await ask(client) == "Rayleigh scattering."
        assert (await settled(client, "/")).status_code == 200
        assert await counted(client) == 13, "what a worker counted stays counted"


async def test_a_stop_finishes_what_is_being_answered(service: Service, upstream: Upstream) -> None:
    workers = await service.whole()
    slow = Behaviour(text="one two three four five six", token_s=0.2)
    upstream.behave("scripted", slow)
    body = {**PROMPT, "stream": True}
    async with (
        httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=60) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as reply,
    ):
        lines = reply.aiter_lines()
        text = ""
        async for line in lines:
            if not line.startswith("data: {"):
                continue
            text += _content(line)
            if text == "one ":
                service.process.send_signal(signal.SIGTERM)
        assert text == slow.text
    assert await asyncio.to_thread(service.process.wait, 40) == 0
    assert not any(alive(pid) for pid in workers)


def _rows(reply: Any) -> list[Any]:
    return list(reply if isinstance(reply, list) else reply["data"])


def _content(line: str) -> str:
    choices = json.loads(line[6:])["choices"]
    return str(choices[0]["delta"].get("content") or "") if choices else ""


@pytest.mark.parametrize("number", ["0", "-1", "1000"])
def test_a_number_that_makes_no_sense_is_refused(
    number: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["--workers", number]) == 2
    assert "--workers" in capfd.readouterr().err

"""Plain `--workers 2` beside Ray Serve with two replicas, in one run on one machine.

Needs requirements-ray.txt and PostgreSQL's server programs; not part of `make bench`:

    python -m benchmarks.ray_serve

Both serve the same configuration over one loopback provider that answers at once, and one
PostgreSQL. They are asked in turn, so that what else the machine does falls on both; what counts is
the ratio.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import httpx2

from strangers.service import ROOT, free_port, wait_until_ready, write_config
from tests.telemetry.postgres import PostgresServer, postgres_bin

CALLERS, REQUESTS, ROUNDS = 16, 160, 5
PROMPT = {"messages": [{"role": "user", "content": "Why is the sky blue?"}]}
BEHAVIOUR = '{"tokens": 20}'


class Round(NamedTuple):
    """What one of the two did with one volley."""

    per_s: float
    first_ms: float  # median, until the first chunk
    whole_ms: float  # median


@contextmanager
def upstream() -> Iterator[str]:
    """The address of a provider in a process of its own."""
    command = [sys.executable, "-m", "tests.upstream", "--behaviour", BEHAVIOUR]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@contextmanager
def postgres() -> Iterator[str]:
    binaries = postgres_bin()
    if binaries is None:
        raise SystemExit("PostgreSQL's server programs (initdb, pg_ctl) are not installed")
    server = PostgresServer(binaries)
    try:
        server.start()
        yield server.database()
    finally:
        server.stop()


@contextmanager
def plain(folder: Path, database: str) -> Iterator[str]:
    """`app.py --workers 2`."""
    port, log = free_port(), folder / "plain.log"
    command = [sys.executable, "app.py", "--no-ui", "--workers", "2", "--port", str(port)]
    command += ["--config", f"{folder}/config", "--data", f"{folder}/plain"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "ROUTER_DATABASE_URL": database}
    with log.open("wb") as output:
        service = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        wait_until_ready(service, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        service.terminate()
        service.wait(60)


@contextmanager
def served_by_ray(folder: Path, database: str) -> Iterator[str]:
    """`deploy/ray_serve.py` on a cluster of this machine's own."""
    import ray
    from ray import serve

    from deploy.ray_serve import Arguments, RouterService

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=200 * 2**20,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {"ROUTER_DATABASE_URL": database}},
    )
    try:
        port = free_port()
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        arguments = Arguments(
            config=f"{folder}/config", data=f"{folder}/ray", replicas=2, insecure=True
        )
        service = RouterService.options(num_replicas=2).bind(arguments)
        serve.run(service, name="router", logging_config={"log_level": "ERROR"})
        yield f"http://127.0.0.1:{port}"
        serve.shutdown()
    finally:
        ray.shutdown()


async def volley(url: str, *, stream: bool) -> Round:
    """`REQUESTS` requests by `CALLERS` callers."""
    left, firsts, wholes = iter(range(REQUESTS)), [], []
    body = {**PROMPT, "model": "auto", "stream": stream}

    async def caller(client: httpx2.AsyncClient) -> None:
        for _ in left:
            begun = time.perf_counter()
            first = None
            async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as reply:
                assert reply.status_code == 200, await reply.aread()
                async for _ in reply.aiter_bytes():
                    first = first or time.perf_counter() - begun
            firsts.append(first or 0.0)
            wholes.append(time.perf_counter() - begun)

    async with httpx2.AsyncClient(timeout=120) as client:
        begun = time.perf_counter()
        await asyncio.gather(*(caller(client) for _ in range(CALLERS)))
        took = time.perf_counter() - begun
    return Round(REQUESTS / took, median(firsts) * 1000, median(wholes) * 1000)


def main() -> int:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_config(folder / "config", stack.enter_context(upstream()))
        database = stack.enter_context(postgres())
        urls = {
            "--workers 2": stack.enter_context(plain(folder, database)),
            "Ray Serve": stack.enter_context(served_by_ray(folder, database)),
        }
        for stream in (False, True):
            print(f"\n{'streamed' if stream else 'whole answers'}, {CALLERS} callers")
            found: dict[str, list[Round]] = {name: [] for name in urls}
            for turn in range(ROUNDS + 1):
                for name, url in urls.items():
                    figures = asyncio.run(volley(url, stream=stream))
                    if turn:  # the first warms what is cold
                        found[name].append(figures)
            show(found)
    return 0


def show(found: dict[str, list[Round]]) -> None:
    """Medians of the rounds, and the median of their ratios."""
    for name, rounds in found.items():
        per_s, first, whole = (median(values) for values in zip(*rounds, strict=True))
        print(f"  {name:12} {per_s:7.1f} requests/s  first {first:7.1f} ms  whole {whole:7.1f} ms")
    plain_rounds, ray_rounds = found.values()
    ratios = [
        median(b / a for a, b in zip(x, y, strict=True))
        for x, y in zip(zip(*plain_rounds, strict=True), zip(*ray_rounds, strict=True), strict=True)
    ]
    print("  {:12} {:7.2f} ×           first {:7.2f} ×   whole {:7.2f} ×".format("ratio", *ratios))


if __name__ == "__main__":
    sys.exit(main())

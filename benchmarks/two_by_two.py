"""Two replicas of two workers each under load, while their surroundings fail:

    python -m benchmarks.two_by_two

One PostgreSQL, one Chroma server and one nginx (`deploy/nginx.conf`) are started for it. While
`wrk`, callers of our own and a person at the page ask through nginx, one replica is killed and
started again, the database restarted, Chroma stopped and continued, nginx reloaded and the
configuration edited. No request may be late or lost, each answer that a caller had has its row,
once, and the person is answered after each of these, having loaded the page again at most. Counted
apart: a stream that a killed replica had begun, which ends without its end mark, so that nobody
takes it for whole; and a connection that ended before anything of an answer had come, as kept ones
do when nginx is reloaded: such a request is sent again, as official clients do.

Exit 1 if anything of this does not hold. Takes two minutes, and needs the Debian packages `nginx`,
`postgresql` and `wrk`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import psycopg
import yaml
from playwright.async_api import Error as PlaywrightError

from benchmarks.bench import ROOT, write_config
from benchmarks.processes import command, port, process, steady, until
from tests.telemetry.postgres import PostgresServer, postgres_bin

if TYPE_CHECKING:
    from playwright.async_api import Page

LATE_S = 4.0
"""A healthy answer takes 0.2 s; what took longer than the primary's limit and a second is late."""
CALLERS = 8
CONNECTIONS = 4
"""Of `wrk`."""
STEP_S = 4.0
TOOK = "log_format took '$msec $request_time $upstream_response_time $upstream_addr $uri'; "
"""When a request ended, how long it took, and how long each replica that was asked."""
WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"model": "auto", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}'
"""


@dataclass
class Seen:
    """What the callers of our own had."""

    ids: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    cut: int = 0
    """Streams that broke off visibly."""
    again: list[str] = field(default_factory=list)
    """Requests that were sent again, for their connection ended before anything came."""
    person: list[str] = field(default_factory=list)
    """How the person at the page fared."""
    slowest_s: float = 0.0
    doing: str = "nothing"
    """What is being done to the services."""

    def note(self, took_s: float, request_id: str) -> None:
        self.ids.append(request_id)
        self.slowest_s = max(self.slowest_s, took_s)
        if took_s > LATE_S:
            self.late.append(f"{took_s:.1f} s while {self.doing}")


async def call(session: aiohttp.ClientSession, url: str, seen: Seen, *, stream: bool) -> None:
    """Ask again and again until cancelled."""
    retried = False
    for turn in itertools.count():
        said = [{"role": "user", "content": f"Why is the sky blue? ({id(seen)}, {turn})"}]
        body = {"model": "auto", "stream": stream, "messages": said}
        began, doing, received = time.monotonic(), seen.doing, b""
        try:
            async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
                async for piece in answer.content.iter_any():
                    received += piece
                status = answer.status
        except aiohttp.ClientError as error:
            if stream and b'"content":"word' in received:
                seen.cut += 1
            elif not received and not retried:
                seen.again.append(doing)
                retried = True
                continue
            else:
                seen.lost.append(f"{error!r} while {doing}")
            retried = False
            continue
        retried = False
        ended = not stream or received.rstrip().endswith(b"data: [DONE]")
        found = re.findall(rb'"request_id":"([0-9a-f-]+)"', received)
        if status == 200 and ended and found:
            seen.note(time.monotonic() - began, found[-1].decode())
        elif status == 200 and stream:
            seen.cut += 1
        else:
            seen.lost.append(f"{status} {received[:200]!r} while {doing}")


class Person:
    """Asks through the page, and loads it again when it does not answer."""

    def __init__(self, page: Page, url: str, seen: Seen) -> None:
        self._page, self._url, self._seen = page, url, seen

    async def ask(self, *, afresh: bool = False) -> None:
        """RuntimeError if the page does not answer although it was loaded again."""
        for again in (afresh, True):
            try:
                await self._ask(load=again)
            except PlaywrightError:
                continue
            self._seen.person.append("answered")
            return
        raise RuntimeError(f"the page does not answer, {self._seen.doing} before")

    async def _ask(self, *, load: bool) -> None:
        page, view = self._page, "#picture .rt-view"
        if load:
            self._seen.person.append("loaded the page")
            await page.goto(self._url)
            await page.wait_for_selector(f"{view}[data-phase=idle]")
        before = await page.locator(view).get_attribute("data-request")
        await page.locator("#prompt textarea").fill("Why is the sky blue?")
        await page.locator("#prompt textarea").press("Enter")
        await page.wait_for_selector(f'{view}[data-phase=done]:not([data-request="{before}"])')


@asynccontextmanager
async def person(url: str, seen: Seen) -> AsyncIterator[Person]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-headless-shell"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        page = await browser.new_page()
        page.set_default_timeout(60_000)
        yield Person(page, url, seen)
        await browser.close()


class Cluster:
    """All of it, on loopback."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.ports = [port(), port()]
        self.front, self._chroma_port = port(), port()
        self.postgres = PostgresServer(postgres_bin() or Path())
        self.replicas: list[asyncio.subprocess.Process] = []
        self.database = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.front}"

    async def start(self) -> None:
        await asyncio.to_thread(self.postgres.start)
        self._stack.callback(self.postgres.stop)
        self.database = self.postgres.database()
        primary = await self._stack.enter_async_context(process(*steady()))
        cheap = await self._stack.enter_async_context(process(*steady()))
        self.config = write_config(primary.url, cheap.url, self.folder)
        (self.config / "knowledge").mkdir()
        (self.config / "knowledge" / "sky.md").write_text("# The sky\n\nThe sky is blue.\n")
        chroma = Path(sys.executable).with_name("chroma")
        words = ("run", "--path", str(self.folder / "chroma"), "--port", str(self._chroma_port))
        self.chroma = await self._enter(str(chroma), *words, log=self.folder / "chroma.log")
        await until(f"http://127.0.0.1:{self._chroma_port}/api/v2/heartbeat")
        for number in range(2):
            self.replicas.append(await self.replica(number))
        for number in range(2):
            await until(f"http://127.0.0.1:{self.ports[number]}/ready")
        self.nginx = await self._enter(
            "nginx", "-c", str(self._nginx()), "-e", str(self.folder / "nginx.log")
        )
        await until(f"{self.url}/ready")

    async def replica(self, number: int) -> asyncio.subprocess.Process:
        data = self.folder / f"data{number}"
        return await self._enter(
            *(sys.executable, "app.py", "--workers", "2", "--port", str(self.ports[number])),
            *("--config", str(self.config), "--data", str(data)),
            env={
                "ROUTER_DATABASE_URL": self.database,
                "ROUTER_CHROMA_URL": f"http://127.0.0.1:{self._chroma_port}",
            },
            log=self.folder / f"replica{number}.log",
        )

    async def _enter(
        self, *words: str, env: dict[str, str] | None = None, log: Path | None = None
    ) -> asyncio.subprocess.Process:
        return await self._stack.enter_async_context(command(*words, env=env, log=log))

    def _nginx(self) -> Path:
        """The shipped configuration for these two."""
        text = (ROOT / "deploy" / "nginx.conf").read_text()
        servers = "".join(f"server 127.0.0.1:{p} max_fails=2 fail_timeout=5s;" for p in self.ports)
        text = re.sub(r"server router:7860 [^;]*;", servers, text)
        text = text.replace("listen 8080", f"listen 127.0.0.1:{self.front}")
        text = text.replace("/tmp/nginx.pid", str(self.folder / "nginx.pid"))
        text = text.replace("access_log off;", f"{TOOK}access_log {self.folder}/access.log took;")
        kept = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{name}_temp_path {self.folder}/{name};\n" for name in kept)
        text = "daemon off;\n" + text.replace("http {", f"http {{\n{paths}", 1)
        path = self.folder / "nginx.conf"
        path.write_text(text)
        return path

    # -- what is done to it ---------------------------------------------------------------------

    async def kill_a_replica(self) -> None:
        os.killpg(self.replicas[1].pid, signal.SIGKILL)
        await asyncio.sleep(STEP_S)
        self.replicas[1] = await self.replica(1)
        await until(f"http://127.0.0.1:{self.ports[1]}/ready")

    async def restart_the_database(self) -> None:
        await asyncio.to_thread(self.postgres.halt)
        await asyncio.sleep(1)
        await asyncio.to_thread(self.postgres.resume_service)

    async def stop_and_continue_chroma(self) -> None:
        os.killpg(self.chroma.pid, signal.SIGSTOP)
        await asyncio.sleep(STEP_S)
        os.killpg(self.chroma.pid, signal.SIGCONT)

    async def reload_nginx(self) -> None:
        self.nginx.send_signal(signal.SIGHUP)

    async def edit_the_configuration(self) -> None:
        path = self.config / "providers.yaml"
        written = yaml.safe_load(path.read_text())
        written["providers"].append({"name": "added", "host": "near", "model": "first"})
        fresh = path.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(written))
        fresh.replace(path)
        async with aiohttp.ClientSession() as session, asyncio.timeout(30):
            for each in self.ports * 6:  # whichever worker is asked
                url = f"http://127.0.0.1:{each}/v1/models"
                while b'"added"' not in await get(session, url):  # noqa: ASYNC110 - seen from outside only
                    await asyncio.sleep(0.2)


async def get(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url, headers={"connection": "close"}) as answer:
        return await answer.read()


async def under_load(cluster: Cluster, seen: Seen) -> str:
    """Do everything that is done while the callers ask; what `wrk` says of it."""
    steps: list[Callable[[], Awaitable[None]]] = [
        cluster.kill_a_replica,
        cluster.restart_the_database,
        cluster.stop_and_continue_chroma,
        cluster.reload_nginx,
        cluster.edit_the_configuration,
    ]
    script = cluster.folder / "post.lua"
    script.write_text(WRK)
    words = ("-t1", f"-c{CONNECTIONS}", "-d600s", "--timeout", "10s", "-s", str(script))
    wrk = await asyncio.create_subprocess_exec(
        "wrk", *words, f"{cluster.url}/v1/chat/completions", stdout=asyncio.subprocess.PIPE
    )
    patience = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(timeout=patience) as session,
        person(cluster.url, seen) as somebody,
    ):
        await somebody.ask(afresh=True)
        callers = [
            asyncio.create_task(call(session, cluster.url, seen, stream=bool(n % 2)))
            for n in range(CALLERS)
        ]
        await asyncio.sleep(STEP_S)
        for step in steps:
            seen.doing = step.__name__.replace("_", " ")
            before = len(seen.ids)
            await step()
            await somebody.ask()
            await asyncio.sleep(STEP_S)
            print(f"{seen.doing}: {len(seen.ids) - before} answers meanwhile", flush=True)
        wrk.send_signal(signal.SIGINT)
        said, _ = await wrk.communicate()
        for task in callers:
            task.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    return said.decode()


def rows(database: str, ids: list[str]) -> dict[str, int]:
    """How often each of these requests is in the log, with one attempt that was served."""
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT i.request_id, count(*) FROM interactions i JOIN attempts a USING (request_id)"
            " WHERE a.served AND i.request_id = ANY(%s) GROUP BY 1",
            (ids,),
        )
        return {str(request_id): int(count) for request_id, count in found}


async def run(folder: Path) -> int:
    seen = Seen()
    async with AsyncExitStack() as stack:
        cluster = Cluster(folder, stack)
        await cluster.start()
        said = await under_load(cluster, seen)
        for replica in cluster.replicas:
            replica.terminate()
        await asyncio.gather(*(replica.wait() for replica in cluster.replicas))
        found = await asyncio.to_thread(rows, plain(cluster.database), seen.ids)
    print(f"late at nginx: {slow(folder / 'access.log') or 'nothing'}")
    return report(seen, found, said)


def slow(log: Path) -> list[str]:
    """The requests of all callers that were late at nginx, `wrk`'s too, and at which replica."""
    lines = [line.split(" ", 2) for line in log.read_text().splitlines()]
    chat = [line for line in lines if line[2].endswith("/v1/chat/completions")]
    return [f"{took} s ({where})" for _, took, where in chat if float(took) > LATE_S]


def plain(url: str) -> str:
    """The URL as psycopg takes it."""
    return re.sub(r"^postgres\w*(\+\w+)?:", "postgresql:", url)


def report(seen: Seen, found: dict[str, int], said: str) -> int:
    missing = [one for one in seen.ids if found.get(one) != 1]
    wrong = complaints(said)
    print(f"{len(seen.ids)} answers, the slowest after {seen.slowest_s:.1f} s")
    print(f"late: {dict(Counter(seen.late))}; lost: {dict(Counter(seen.lost))}")
    print(f"streams of the killed replica that ended without their end mark: {seen.cut}")
    print(f"sent again: {dict(Counter(seen.again))}")
    print(f"the person at the page: {dict(Counter(seen.person))}")
    print(f"answers without exactly one row: {len(missing)} {missing[:3]}")
    print(
        json.dumps({"wrk": [line.strip() for line in said.splitlines() if "requests in" in line]})
    )
    print(f"wrk complains: {wrong or 'nothing'}")
    return 1 if seen.late or seen.lost or missing or wrong or not seen.ids else 0


def complaints(said: str) -> list[str]:
    """What `wrk` found wrong; a kept connection that ends before an answer is a `read` error to it,
    and each of its connections may have one when nginx is reloaded."""
    found = [line.strip() for line in said.splitlines() if "Non-2xx" in line]
    if errors := re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", said):
        connect, read, write, timeout = map(int, errors.groups())
        if connect or write or timeout or read > CONNECTIONS:
            found.append(errors.group())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="a folder for the logs, which stays")
    args = parser.parse_args()
    needed = [name for name in ("nginx", "wrk") if shutil.which(name) is None]
    if needed or postgres_bin() is None:
        print(f"install {', '.join(needed) or 'postgresql'} first", file=sys.stderr)
        return 2
    if args.keep:
        args.keep.mkdir(parents=True)
        return asyncio.run(run(args.keep))
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())

"""A batch under SIGKILL: `python -m benchmarks.batch [--lines N] [--kills N] [--postgres]`.

Several processes serve over one database, and a batch that the official client leaves with one of
them is answered by all. One is killed at random and started again, as often as said: each line
must be answered once, with its own answer, and nothing be asked of a model twice but what was under
way when its process was killed. `--latency` measures what callers feel of a batch instead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import openai
from sqlalchemy import func, select

from batches.database import BatchDatabase
from batches.tables import parts
from benchmarks.bench import write_config
from benchmarks.kill import SERVE
from tests.telemetry.postgres import PostgresServer, postgres_bin
from tests.upstream import Behaviour, Call, Upstream

T = TypeVar("T")

LINES, KILLS, PROCESSES = 100_000, 10, 2
PLACES = 8
LEASE_S = 5.0
MANY = 5_000
"""Lines of a batch that is not done before it is cancelled."""
CHAT = "/v1/chat/completions"


@dataclass
class Report:
    """What became of a batch."""

    lines: int
    seconds: float = 0.0
    kills: int = 0
    taken_over: int = 0
    """Parts that were taken on again."""
    asked: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """What must not be, as sentences."""

    @property
    def asked_again(self) -> int:
        return sum(self.asked.values()) - len(self.asked)


class Replica:
    """One serving process, which is started again after its end."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SERVE, *self._arguments), stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(await self._process.stdout.readline())}/v1"

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()


class Client:
    """The official client at whichever replica answers."""

    def __init__(self, replicas: list[Replica]) -> None:
        self._replicas = replicas

    async def ask(self, call: Callable[[openai.AsyncOpenAI], Awaitable[T]]) -> T:
        """What does no harm when it is asked twice."""
        async with asyncio.timeout(120):
            while True:
                for replica in self._replicas:
                    http = openai.DefaultAsyncHttpxClient(verify=False)  # certificates: 40 ms
                    at = openai.AsyncOpenAI(
                        base_url=replica.url, api_key="-", max_retries=0, http_client=http
                    )
                    async with at:
                        try:
                            return await call(at)
                        except openai.APIConnectionError:
                            pass  # it was killed, or is starting
                await asyncio.sleep(0.05)

    async def look(self, batch_id: str) -> Any:
        return await self.ask(lambda c: c.batches.retrieve(batch_id))

    async def leave(self, lines: int) -> Any:
        """A batch of so many lines."""
        data = b"".join(json.dumps(line(n)).encode() + b"\n" for n in range(lines))
        file = await self.ask(lambda c: c.files.create(file=("in.jsonl", data), purpose="batch"))
        return await self.ask(
            lambda c: c.batches.create(
                input_file_id=file.id, endpoint=CHAT, completion_window="24h"
            )
        )


def line(number: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Say {number}."}]
    body = {"model": "auto:general", "messages": messages}
    return {"custom_id": f"n{number}", "method": "POST", "url": CHAT, "body": body}


async def run(
    folder: Path,
    lines: int,
    kills: int,
    *,
    database_url: str = "",
    processes: int = PROCESSES,
    seed: int = 1,
    shown: Callable[[str], None] = lambda _: None,
) -> Report:
    """Leave a batch and kill its processes; the report says whether all was right."""
    report, draw = Report(lines), random.Random(seed)
    with Upstream.in_thread() as upstream:

        def answer(call: Call) -> Behaviour:
            prompt = str(call.body["messages"][-1]["content"])
            report.asked[prompt] += 1
            upstream.log.clear()  # a hundred thousand bodies are too many to keep
            return Behaviour(text=f"Here: {prompt}")

        upstream.respond("first", answer)
        config = write_config(
            upstream.base_url,
            upstream.base_url,
            folder,
            fallback={"start": "hedged"},
            limits={"ttft_s": 60.0, "stall_s": 60.0},
            admission={"batch": PLACES},
            batch={"lease_s": LEASE_S},
        )
        replicas = [
            Replica(str(config), str(folder / "data"), database_url) for _ in range(processes)
        ]
        try:
            await replicas[0].start()  # it makes the tables
            await asyncio.gather(*(replica.start() for replica in replicas[1:]))
            await _play(Client(replicas), replicas, report, kills, draw, shown)
        finally:
            await asyncio.gather(*(replica.kill() for replica in replicas))
    database = BatchDatabase(database_url or None, folder / "data")
    with database.read() as connection:
        again = select(func.sum(parts.c.taken - 1))
        report.taken_over = int(connection.execute(again).scalar_one())
    database.close()
    if report.asked_again > report.taken_over * PLACES:
        report.wrong.append(f"{report.asked_again} lines were asked again")
    return report


async def _play(
    client: Client,
    replicas: list[Replica],
    report: Report,
    kills: int,
    draw: random.Random,
    shown: Callable[[str], None],
) -> None:
    began = time.monotonic()
    batch = await client.leave(report.lines)
    at = sorted(draw.uniform(0.0, 0.95) * report.lines for _ in range(kills))
    if kills > 1:
        at[0] = 0.0  # while the file is checked
    while batch.status in ("validating", "in_progress"):
        await asyncio.sleep(draw.uniform(0.05, 0.3))
        batch = await client.look(batch.id)
        if at and batch.request_counts.completed >= at[0]:
            del at[0]
            victim = draw.choice(replicas)
            await victim.kill()
            await victim.start()
            report.kills += 1
            shown(f"killed {report.kills} times; {batch.request_counts.completed} answered")
    report.seconds = time.monotonic() - began
    if (batch.status, batch.request_counts.completed) != ("completed", report.lines):
        report.wrong.append(f"it is {batch.status}, with {batch.request_counts}")
    await _check(client, batch, report)


async def _check(client: Client, batch: Any, report: Report) -> None:
    """Each line once, in the order of the input, with the answer to its own question."""
    content = await client.ask(lambda c: c.files.content(batch.output_file_id))
    number = 0
    for number, raw in enumerate(content.iter_lines(), 1):
        found = json.loads(raw)
        said = found["response"]["body"]["choices"][0]["message"]["content"]
        if (found["custom_id"], said) != (f"n{number - 1}", f"Here: Say {number - 1}."):
            report.wrong.append(f"line {number} of the results is {found['custom_id']}: {said!r}")
    if number != report.lines:
        report.wrong.append(f"there are {number} results")


async def latency(
    folder: Path, rounds: int = 2, callers: int = 60
) -> list[tuple[str, list[float]]]:
    """Seconds that callers wait for a whole answer, alone and beside a batch, in turns."""
    found: list[tuple[str, list[float]]] = []
    with Upstream.in_thread() as upstream:
        upstream.default = Behaviour(ttft_s=0.3, tokens=20, token_s=0.01)
        url = upstream.base_url
        config = write_config(url, url, folder, fallback={"start": "hedged"})
        replica = Replica(str(config), str(folder / "data"), "")
        try:
            await replica.start()
            client = Client([replica])
            await _call(client, 20)
            for _ in range(rounds):
                found.append(("alone", await _call(client, callers)))
                batch = await client.leave(MANY)
                await asyncio.sleep(3)
                found.append(("beside a batch", await _call(client, callers)))
                print(f"  (a batch had {await _cancelled(client, batch.id)} answers meanwhile)")
        finally:
            await replica.kill()
    return found


async def _cancelled(client: Client, batch_id: str) -> int:
    """How many answers it had when it ended."""
    await client.ask(lambda c: c.batches.cancel(batch_id))
    while (batch := await client.look(batch_id)).status != "cancelled":  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    return int(batch.request_counts.completed)


async def _call(client: Client, callers: int) -> list[float]:
    """So many callers, five a second."""

    async def one(number: int) -> float:
        began = time.monotonic()
        body = line(number)["body"]
        await client.ask(lambda c: c.chat.completions.create(**body))
        return time.monotonic() - began

    async def begun() -> Any:
        for number in range(callers):
            yield asyncio.create_task(one(number))
            await asyncio.sleep(0.2)

    return [await task for task in [task async for task in begun()]]


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]


def _latency() -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(latency(Path(folder)))
    by: dict[str, list[float]] = {}
    for name, times in found:
        by.setdefault(name, []).extend(times)
        print(f"{name}: median {statistics.median(times):.3f} s, p95 {p95(times):.3f} s")
    ratio = p95(by["beside a batch"]) / p95(by["alone"])
    print(f"p95 beside a batch: {ratio:.2f} of that without")
    return int(ratio > 1.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--postgres", action="store_true", help="over a PostgreSQL of its own")
    parser.add_argument("--latency", action="store_true", help="what callers feel of a batch")
    args = parser.parse_args()
    if args.latency:
        return _latency()
    with ExitStack() as stack:
        folder, url = Path(stack.enter_context(tempfile.TemporaryDirectory())), ""
        if args.postgres:
            binaries = postgres_bin()
            if binaries is None:
                parser.error("PostgreSQL's server programs are not installed")
            server = PostgresServer(binaries)
            stack.callback(server.stop)
            server.start()
            url = server.database()
        report = asyncio.run(
            run(
                folder,
                args.lines,
                args.kills,
                database_url=url,
                processes=args.processes,
                shown=lambda text: print(text, flush=True),
            )
        )
    print(
        f"{report.lines} lines in {report.seconds:.0f} s, {report.kills} times killed: "
        f"{report.taken_over} parts taken over, {report.asked_again} lines asked again"
    )
    for sentence in report.wrong:
        print(f"WRONG: {sentence}")
    return int(bool(report.wrong))


if __name__ == "__main__":
    sys.exit(main())

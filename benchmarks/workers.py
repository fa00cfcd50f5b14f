"""What a second worker brings: `python -m benchmarks.workers`.

`wrk` asks the service with one worker and with two, in turn, round by round; the providers are
simulated, inside of the workers, so that all of the work is theirs. Requests per CPU second with
two workers shall be at least 0.9 times those with one, and on two free cores requests per second at
least 1.4 times: `wrk` itself takes some of the second. Both are measured with prompts that are
classified, where one worker uses the second core already, since the encoder runs beside its event
loop, and with prompts whose category is named. Exit 1 on a missed target; needs the Debian
package `wrk`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import yaml

from benchmarks.bench import SHIPPED, Row, learn_shipped, print_table
from benchmarks.processes import command, port, until

CATEGORIES = SHIPPED / "categories.yaml"
CALLERS = 32
WORKERS = (1, 2)
IDLE_S = 0.3
"""CPU seconds of a service that only waits, in two seconds."""
MODELS = {"classified": "auto", "category named": "auto:technical"}
WRK = """
local turn = 0
request = function()
  turn = turn + 1
  local body = string.format(
    '{"model": "MODEL", "messages": [{"role": "user", "content": "Why is sky %d blue?"}]}', turn)
  return wrk.format("POST", nil, {["Content-Type"] = "application/json"}, body)
end
"""


def configured(folder: Path) -> Path:
    """The shipped categories over a simulated model of 40 tokens that takes no time."""
    simulation = {"tokens": 40, "phases": [{"ttft_s": 0.0, "jitter": 0, "tokens_per_s": 100_000}]}
    written = {
        "hosts": {"stage": {"kind": "simulated"}},
        "providers": [
            {"name": name, "host": "stage", "model": name, "simulation": simulation}
            for name in ("first", "cheap")
        ],
        "priorities": {name: ["first"] for name in yaml.safe_load(CATEGORIES.read_text())},
        "fallback": {"provider": "cheap", "start": "hedged"},
    }
    config = folder / "config"
    config.mkdir(parents=True)
    (config / "providers.yaml").write_text(yaml.safe_dump(written))
    shutil.copy(CATEGORIES, config)
    return config


def cpu_s(group: int) -> float:
    """CPU seconds that the processes of a group have used."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def at_rest(group: int) -> None:
    """Until every worker has started: that is over when they use next to no CPU."""
    async with asyncio.timeout(120):
        before = cpu_s(group)
        while True:
            await asyncio.sleep(2.0)
            if (now := cpu_s(group)) - before < IDLE_S:
                return
            before = now


async def volley(url: str, script: Path, seconds: float) -> int:
    """How many requests `wrk` had answered in that time; RuntimeError if any was not."""
    wrk = await asyncio.create_subprocess_exec(
        *("wrk", "-t1", f"-c{CALLERS}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(script)),
        f"{url}/v1/chat/completions",
        stdout=asyncio.subprocess.PIPE,
    )
    said = (await wrk.communicate())[0].decode()
    found = re.search(r"(\d+) requests in", said)
    if found is None or "Non-2xx" in said:
        raise RuntimeError(said)
    return int(found[1])


async def measure(folder: Path, seconds: float, rounds: int) -> list[Row]:
    scripts, learned = [folder / f"{name}.lua" for name in MODELS], folder / "learned"
    for script, model in zip(scripts, MODELS.values(), strict=True):
        script.write_text(WRK.replace("MODEL", model))
    await asyncio.to_thread(learn_shipped, learned, topics=True)
    async with AsyncExitStack() as stack:
        services = {}
        for workers in WORKERS:
            place = folder / str(workers)
            config, at = configured(place), port()
            shutil.copytree(learned, place / "data")
            words = (sys.executable, "app.py", "--no-ui", "--port", str(at))
            where = ("--config", str(config), "--data", str(place / "data"))
            started = command(*words, *where, "--workers", str(workers))
            services[workers] = (await stack.enter_async_context(started)).pid, at
        for group, at in services.values():
            await until(f"http://127.0.0.1:{at}/ready")
            await at_rest(group)
            await volley(f"http://127.0.0.1:{at}", scripts[0], 3.0)
        rows: list[Row] = []
        for name, script in zip(MODELS, scripts, strict=True):
            rows += await compared(services, name, script, seconds, rounds)
    return rows


async def compared(
    services: dict[int, tuple[int, int]], name: str, script: Path, seconds: float, rounds: int
) -> list[Row]:
    """Both services (by workers: process group and port) asked in turn with the same prompts."""
    rate: dict[int, list[float]] = {workers: [] for workers in services}
    per_cpu: dict[int, list[float]] = {workers: [] for workers in services}
    for turn in range(rounds):
        for workers in services if turn % 2 == 0 else reversed(services):
            group, at = services[workers]
            before = cpu_s(group)
            answered = await volley(f"http://127.0.0.1:{at}", script, seconds)
            rate[workers].append(answered / seconds)
            per_cpu[workers].append(answered / (cpu_s(group) - before))
    return [
        row(f"{name}: requests per CPU second, two workers", per_cpu, 0.9),
        row(f"{name}: requests per second, two workers", rate, 1.4),
    ]


def row(label: str, found: dict[int, list[float]], least: float) -> Row:
    ratio = statistics.median(two / one for one, two in zip(found[1], found[2], strict=True))
    one, two = statistics.median(found[1]), statistics.median(found[2])
    verdict = "ok" if ratio >= least else "MISSED"
    return (label, f"{ratio:.2f} × ({two:.0f} against {one:.0f})", f"≥ {least} ×", verdict)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each volley")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        print("install wrk first", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure(Path(folder), args.seconds, args.rounds))
    print_table("Workers", ("figure", "measured", "target", ""), rows)
    return 1 if any(found[-1] == "MISSED" for found in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

"""`make demo-search`: a new model is found, tried, appended, routed to and rolled back.

The hub, the market and the old model's host are services on loopback; the weights that the hub
offers are the LLaMA of this machine under another name, really downloaded, served and asked. The
search, the trial, the configuration, the race and the judgement are those of the application.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from config.environment import quiet
from config.loader import load
from config.probe_sets import SHIPPED
from discovery.events import render_event
from discovery.result import render_table
from discovery.search import Addresses, Search
from providers.llama_server import BUNDLED_MODEL, weights
from providers.registry import Providers
from telemetry.log import InteractionLog
from telemetry.records import AuditRow
from tests.discovery.services import ChatHost, Hub, HubModel, OpenRouter

CATEGORY = "general"
CATEGORIES = """\
technical:
  description: programming and science
  examples: [Why does my loop never end?, Explain a hash table., Solve 2x + 3 = 7.]
general:
  description: everyday questions
  examples: [What is the capital of Australia?, How long do I boil an egg?, Hello there!]
"""
NEW = "newcomers/Aurora-Llama-135M-Instruct-GGUF"
OLD = "old-llama"
QUESTIONS = 400
"""At most so many prompts until chance has chosen a trial of 5%; 60 are enough 19 times in 20."""
MORE = " Answer in one short sentence, and please be precise about it, whatever you were asked."
STARTED = time.monotonic()


def say(chapter: str, text: str) -> None:
    lines = text.splitlines()
    print(f"{time.monotonic() - STARTED:6.1f} s  {chapter:<11}  {lines[0]}")
    for line in lines[1:]:
        print(f"{'':23}{line}")


def configure(folder: Path, host: ChatHost) -> None:
    """A small configuration of its own: an old model at a host, and the embedded host."""
    (folder / "categories.yaml").write_text(CATEGORIES)
    (folder / "catalogue.yaml").write_text("date: 2026-11-22\nsources: {}\nentries: []\n")
    (folder / "providers.yaml").write_text(
        f"""\
# A configuration as a person would write it; watch what the application does to it.
hosts:
  old-host:
    base_url: {host.base_url}   # on loopback
  embedded: {{kind: llama_cpp}}
providers:
  - name: {OLD}                 # knows nothing, but says so at once
    host: old-host
    model: {OLD}
    cost: {{input: 0.10, output: 0.30}}
# Best first.
priorities:
  technical: [{OLD}]
  general: [{OLD}]
fallback: {{provider: {OLD}}}
limits: {{ttft_s: 10.0}}
"""
    )


def ask_easy_ones(folder: Path) -> None:
    """Try the newcomer with the shipped probes that a small model can pass and that end soon."""
    shipped = yaml.safe_load((SHIPPED / f"{CATEGORY}.yaml").read_text("utf-8"))
    shipped["probes"] = [probe for probe in shipped["probes"] if probe.get("level") == "easy"]
    (folder / "probes").mkdir()
    (folder / "probes" / f"{CATEGORY}.yaml").write_text(yaml.safe_dump(shipped), "utf-8")


async def until(condition: Callable[[], bool]) -> None:
    """Look at a file or a running router until it has changed, for at most 20 s."""
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.1)


async def audits_of(log: InteractionLog, name: str) -> list[AuditRow]:
    """What the log says of it, oldest first; the row of a roll-back is written after the file."""
    for _ in range(200):
        rows = await log.audits(subject=name)
        if any(row["kind"] == "discovery.rolled_back" for row in rows):
            break
        await asyncio.sleep(0.1)
    return rows[::-1]


async def find_and_append(folder: Path, data: Path, hub: Hub, market: OpenRouter) -> str | None:
    """The name under which the newcomer was appended."""
    settings = load(folder, data, environ={}, dotenv=None)
    providers = Providers(settings)
    addresses = Addresses(hub=hub.url, openrouter=f"{market.url}/api/v1")
    search = Search(settings, providers, addresses=addresses)
    result = await search.search(CATEGORY)
    say("found", f"{len(result.candidates)} models for {CATEGORY}")
    print(f"\n{render_table(result, shown=3)}\n")
    appended, told = None, -10
    try:
        async for event in search.try_and_append(CATEGORY):
            if event["type"] == "downloading":
                percent = 100 * event["done"] // event["total"]
                if percent < told + 25:
                    continue
                told = percent
            chapter = "appended" if event["type"] == "appended" else "tried"
            say(chapter, render_event(event))
            appended = event["provider"] if event["type"] == "appended" else appended
    finally:
        await providers.close()
    return appended


async def route_and_roll_back(folder: Path, data: Path, name: str) -> bool:
    """Whether the newcomer was asked by chance, then disappointed, and left by itself."""
    from graph.router import Router

    say("routing", "starting the router on that configuration")
    async with Router.from_config(folder, data, environ={}) as router:
        asked = 0
        for asked in range(1, QUESTIONS + 1):
            answer = await router.answer(f"What is {asked} plus one?", category=CATEGORY)
            if answer.provider == name:
                break
        said = " ".join(answer.text.split())
        say("routed to", f"request {asked} of {CATEGORY} went to {answer.provider}: “{said[:70]}”")
        if answer.provider != name:
            return False

        file = folder / "providers.yaml"
        file.write_text(file.read_text().replace("ttft_s: 10.0", "ttft_s: 0.02"))
        say("hand edit", "the operator tightens ttft_s to 0.02 s in providers.yaml, no restart")
        await until(lambda: router.settings.limits.ttft_s < 1)
        for number in range(router.settings.breaker.failures):
            await router.answer(
                f"What is {number} times two?" + MORE, category=CATEGORY, provider=name
            )
        breaker = router.services.routing.breakers[name]
        say(
            "disappoints",
            f"the breaker of {name} is {breaker.state(time.monotonic())}: {breaker.why}",
        )
        await until(lambda: name not in file.read_text())
        for row in await audits_of(router.services.log, name):
            say("audit", f"{row['kind']}: {row['detail'].get('reason', '')}")
        return name not in file.read_text()


async def run(folder: Path, data: Path, content: bytes) -> int:
    newcomer = HubModel(
        NEW,
        tags=("gguf", "llama", "conversational", "license:apache-2.0"),
        downloads=48_210,
        likes=311,
        created="2026-11-02T08:00:00.000Z",
        card={"license": "apache-2.0"},
        gguf={"total": 134_515_008, "architecture": "llama", "context_length": 8192},
        files={"Aurora-Llama-135M-Instruct-Q4_1.gguf": content},
    )
    with (
        ChatHost(**{OLD: lambda _: "I do not know that."}) as host,
        Hub(newcomer) as hub,
        OpenRouter() as market,
    ):
        configure(folder, host)
        ask_easy_ones(folder)
        before = (folder / "providers.yaml").read_text()
        name = await find_and_append(folder, data, hub, market)
        if name is None:
            return 1
        if not await route_and_roll_back(folder, data, name):
            say("failed", "the chain did not come to its end")
            return 1
        same = (folder / "providers.yaml").read_text() == before.replace("10.0", "0.02")
        say("rolled back", f"{name} is gone; but for the hand edit the file is as it was: {same}")
        return 0 if same else 1


def main() -> int:
    quiet()
    from telemetry.console import configure as configure_log

    configure_log(json=False, level="CRITICAL")
    file = weights(BUNDLED_MODEL)
    if isinstance(file, str):
        print(f"The demonstration needs the embedded LLaMA, but {file}.", file=sys.stderr)
        return 1
    # The thread that learns a changed configuration's categories may write after the router's end.
    with tempfile.TemporaryDirectory(prefix="demo-search-", ignore_cleanup_errors=True) as root:
        folder, data = Path(root) / "config", Path(root) / "data"
        folder.mkdir()
        return asyncio.run(run(folder, data, file.read_bytes()))


if __name__ == "__main__":
    sys.exit(main())

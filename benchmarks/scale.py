"""How far it grows: `python -m benchmarks.scale [PART ...]`.

`chunks`: a knowledge base of 100,000 passages. The real encoder's rate is taken from 1,000 of them;
the vectors of the rest are drawn at random, since the time of a search does not depend on what they
mean; `--encode` lets the encoder read all, in half an hour of two cores. `providers`: a thousand.
`categories`: a hundred. `conversations`: ten thousand that are held at once. Each part runs in a
process of its own, so that memory is its own; `docs/scale.md` has the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.bench import Row, print_table, prompts
from benchmarks.retrieval import Recycled, questions
from config.loader import load
from graph.router import Router
from runtime.services import classifier_for, shared_encoder
from tests.conftest import CATEGORIES
from vectorstore.embeddings import Embedder
from vectorstore.folders import python_topics
from vectorstore.knowledge import Knowledge

CHUNKS, ENCODED, PER_DOCUMENT, WORDS = 100_000, 1_000, 50, 22
"""Passages; those that give the rate; how many a document has; their length, some 40 tokens."""
PROVIDERS, CATEGORIES_MANY, EXAMPLES, CONVERSATIONS = 1_000, 100, 12, 10_000
ASKED, ROUNDS = 100, 6
Rows = list[Row]


def resident_mb() -> float:
    """Memory of this process that is in RAM, in 10^6 bytes."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def quantiles(values: Sequence[float], unit: str) -> str:
    """The median and the 95th percentile, in words."""
    ordered = sorted(values)
    return f"{statistics.median(ordered):.1f} / {ordered[int(0.95 * len(ordered))]:.1f} {unit}"


# --- passages


def write_documents(folder: Path, count: int, words: int = WORDS) -> None:
    """So many sections of shuffled words of Python's topics, each of them one passage."""
    folder.mkdir(parents=True)
    vocabulary = [word for _, text in python_topics() for word in text.split()]
    random = np.random.default_rng(0)
    for number in range(count // PER_DOCUMENT):
        texts = random.choice(vocabulary, size=(PER_DOCUMENT, words))
        sections = [f"## Section {n}\n\n{' '.join(text)}\n" for n, text in enumerate(texts)]
        document = f"# Document {number}\n\n" + "".join(sections)
        (folder / f"document {number}.md").write_text(document)


def ingest(work: Path, count: int, encode: bool) -> Rows:
    write_documents(work / "documents", count)
    knowledge = Knowledge.open(work / "data", (Embedder if encode else Recycled).load())
    cpu, began = time.process_time(), time.monotonic()
    report = asyncio.run(knowledge.ingest(work / "documents", topics=False))
    took, cpu = time.monotonic() - began, time.process_time() - cpu
    again = time.monotonic()
    asyncio.run(knowledge.ingest(work / "documents", topics=False))
    again = time.monotonic() - again
    knowledge.close()
    disk = sum(p.stat().st_size for p in (work / "data").rglob("*") if p.is_file())
    return [
        ("passages", f"{report.chunks}"),
        ("ingest", f"{took:.0f} s, {report.chunks / took:.0f} a second"),
        ("CPU a passage, of all threads", f"{1000 * cpu / report.chunks:.1f} ms"),
        ("ingest again, nothing changed", f"{again:.1f} s"),
        ("on disk", f"{disk / 1e6:.0f} MB"),
        ("memory after it", f"{resident_mb():.0f} MB"),
    ]


def retrieval(work: Path) -> Rows:
    return asyncio.run(_retrieval(work))


async def _retrieval(work: Path) -> Rows:
    embedder, before, began = Embedder.load(), resident_mb(), time.monotonic()
    knowledge = Knowledge.open(work / "data", embedder)
    await knowledge.warm()
    await knowledge.retrieve("Is everything warm?", within_s=60)
    opened = time.monotonic() - began
    asked = [question.ask for question in questions("report")][:ASKED]
    found = [await knowledge.retrieve(question, within_s=60) for question in asked]
    knowledge.close()
    modes = {mode: sum(f.mode == mode for f in found) for mode in {f.mode for f in found}}
    return [
        ("start, to the first passages", f"{opened:.1f} s"),
        ("retrieval, p50 / p95", quantiles([f.took_ms for f in found], "ms")),
        ("searched by", ", ".join(f"{mode} {count}" for mode, count in modes.items())),
        ("memory for it", f"{resident_mb() - before:.0f} MB"),
    ]


# --- providers, categories, conversations


def simulated(name: str) -> dict[str, Any]:
    phase = {"ttft_s": 0.0, "jitter": 0, "tokens_per_s": 100_000}
    simulation = {"tokens": 20, "phases": [phase]}
    cost = {"input": 1, "output": 2}
    return {"name": name, "host": "here", "model": name, "cost": cost, "simulation": simulation}


def configured(folder: Path, names: Sequence[str], categories: dict[str, Any]) -> Path:
    """A configuration in which the providers are shared out among the categories."""
    count = len(categories)
    orders = {c: list(names[n::count]) or [names[0]] for n, c in enumerate(categories)}
    written = {
        "hosts": {"here": {"kind": "simulated"}},
        "providers": [simulated(name) for name in (*names, "cheap")],
        "priorities": orders,
        "fallback": {"provider": "cheap"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "providers.yaml").write_text(yaml.safe_dump(written))
    (folder / "categories.yaml").write_text(yaml.safe_dump(categories))
    return folder


async def cpu_a_request(router: Router) -> float:
    """Milliseconds of CPU, of all threads: the least of five rounds, after a warm-up."""
    asked, spent = prompts()[:ASKED], []
    for _ in range(ROUNDS):
        cpu = time.process_time()
        for prompt in asked:
            await router.answer(prompt)
        spent.append(1000 * (time.process_time() - cpu) / len(asked))
    return min(spent[1:])


def providers(work: Path, count: int) -> Rows:
    return asyncio.run(_providers(work, count))


async def _providers(work: Path, count: int) -> Rows:
    names = [f"model-{number}" for number in range(count)]
    config = configured(work / f"config {count}", names, CATEGORIES)
    before, began = resident_mb(), time.monotonic()
    async with Router.from_config(config, work / f"data {count}", environ={}) as router:
        loaded = time.monotonic() - began
        await router.warm()
        cpu = await cpu_a_request(router)
        began = time.monotonic()
        size = len(json.dumps(router.health()))
        health = time.monotonic() - began
        began = time.monotonic()
        await router.priorities()
        shown = time.monotonic() - began
        memory = resident_mb() - before
    return [
        ("configuration read and opened", f"{loaded:.2f} s"),
        ("CPU a request", f"{cpu:.1f} ms"),
        ("/health", f"{1000 * health:.1f} ms, {size / 1000:.0f} kB"),
        ("--priorities, in the process", f"{1000 * shown:.0f} ms"),
        ("memory for it", f"{memory:.0f} MB"),
    ]


def many_categories(count: int) -> dict[str, Any]:
    """Of each its own nouns, so that the figures are of time alone."""
    vocabulary = sorted({w for _, text in python_topics() for w in text.split() if w.isalpha()})
    random = np.random.default_rng(1)
    return {
        f"topic-{number}": {
            "description": f"Questions about {' and '.join(own[:3])}.",
            "examples": [f"What should I know about {a} and {b}?" for a, b in pairwise(own)],
        }
        for number in range(count)
        for own in [[str(w) for w in random.choice(vocabulary, EXAMPLES + 1, replace=False)]]
    }


def categories(work: Path, count: int) -> Rows:
    config = configured(work / f"config {count}", ["first", "second"], many_categories(count))
    settings = load(config, work / f"data {count}", environ={}, dotenv=None)
    settings.data_dir.mkdir()
    encoder = shared_encoder()
    began = time.monotonic()
    classifier_for(settings, encoder)
    trained, began = time.monotonic() - began, time.monotonic()
    classifier = classifier_for(settings, encoder)
    read = time.monotonic() - began
    asked = prompts()[:ASKED]
    cpu = time.process_time()
    for prompt in asked:
        classifier.classify(prompt)
    cpu = time.process_time() - cpu
    return [
        ("trained, behind the service", f"{trained:.1f} s"),
        ("read at the next start", f"{read:.2f} s"),
        ("CPU a prompt", f"{1000 * cpu / len(asked):.1f} ms"),
    ]


def conversations(work: Path, count: int) -> Rows:
    return asyncio.run(_conversations(work, count))


async def _conversations(work: Path, count: int) -> Rows:
    config = configured(work / "config", ["first", "second", "third"], CATEGORIES)
    history = [
        {"role": "user", "content": "Write a haiku about rain."},
        {"role": "assistant", "content": "Rain on the tin roof, soft and slow, all afternoon."},
    ]
    async with Router.from_config(config, work / "data", environ={}) as router:
        await router.warm()
        fresh, before = await cpu_a_request(router), resident_mb()
        for number in range(count):
            messages = [*history, {"role": "user", "content": f"Another one, about {number}."}]
            await router.answer(messages=messages, options={"session_id": f"talk-{number}"})
        held = resident_mb() - before
        cpu = await cpu_a_request(router)
    return [
        ("conversations held", f"{count}"),
        ("memory for them and their log", f"{held:.0f} MB, {1000 * held / count:.1f} kB each"),
        ("CPU a request beside them, against without", f"{cpu / fresh:.2f}"),
    ]


# --- all of it


def alone(work: Callable[..., Rows], *arguments: object) -> Rows:
    """The rows of a part that runs in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def beside(few: Rows, many: Rows) -> list[Row]:
    return [(name, value, more) for (name, value), (_, more) in zip(few, many, strict=True)]


def report_chunks(work: Path, count: int, encode: bool) -> None:
    real, large = work / "real", work / "large"
    encoded = [*alone(ingest, real, ENCODED, True), *alone(retrieval, real)]
    rows = [*alone(ingest, large, count, encode), *alone(retrieval, large)]
    vectors = "the encoder's" if encode else "random"
    columns = ("", f"{ENCODED}, the encoder's vectors", f"{count}, {vectors} vectors")
    print_table(f"Passages of some {WORDS} words", columns, beside(encoded, rows))


def report_providers(work: Path) -> None:
    few, many = alone(providers, work, 10), alone(providers, work, PROVIDERS)
    print_table("Providers", ("", "10", f"{PROVIDERS}"), beside(few, many))


def report_categories(work: Path) -> None:
    few, many = alone(categories, work, 4), alone(categories, work, CATEGORIES_MANY)
    print_table("Categories", ("", "4", f"{CATEGORIES_MANY}"), beside(few, many))


def report_conversations(work: Path) -> None:
    print_table("Conversations", ("", ""), alone(conversations, work, CONVERSATIONS))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--chunks", type=int, default=CHUNKS)
    parser.add_argument("--encode", action="store_true", help="every passage by the encoder")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[Path], None]] = {
        "providers": report_providers,
        "categories": report_categories,
        "conversations": report_conversations,
        "chunks": partial(report_chunks, count=arguments.chunks, encode=arguments.encode),
    }
    chosen = arguments.parts or list(parts)
    if unknown := [part for part in chosen if part not in parts]:
        parser.error(f"there is no part {unknown[0]}; there are {', '.join(parts)}")
    for part in chosen:
        with tempfile.TemporaryDirectory() as folder:
            parts[part](Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())

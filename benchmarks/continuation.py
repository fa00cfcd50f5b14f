"""Live streams that are cut at a random word and gone on with by the embedded LLaMA.

    python -m benchmarks.continuation [--answers 50] [--seed 1]

One voice of the embedded model writes an answer, which is cut between a quarter and three quarters;
the other one goes on as the fallback does, and what it says is read at the seam. Of a
joined text nothing may be said twice over the seam, and no fence may show. The share that joins
says how often such a stream ends whole; the others end in an error event.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import print_table
from config.loader import load
from nodes.grounding import continuation, fallback_messages
from providers.base import CallOptions, ChatProvider, Message, ProviderError
from providers.registry import Providers
from race.seam import Seam
from vectorstore.passages import Retrieval

PROMPTS = Path(__file__).parent / "data" / "classification.jsonl"
RUN = 5
SHARE = 0.30
"""Of the cut answers at least so many must be gone on with."""

FENCES = re.compile(r"</?(?:text|passages)>")


@dataclass(frozen=True)
class Cut:
    prompt: str
    shown: str


@dataclass(frozen=True)
class Result:
    cut: Cut
    said: str
    new: str
    joined: bool

    @property
    def whole_repetition_dropped(self) -> bool:
        return self.joined and len(self.new) < len(self.said.strip())

    @property
    def repeats(self) -> bool:
        """A run of five words that goes over the seam or follows it at once was shown before."""
        shown, new = _words(self.cut.shown), _words(self.new)[:RUN]
        runs = {tuple(shown[i : i + RUN]) for i in range(len(shown) - RUN + 1)}
        around = [*shown[-(RUN - 1) :], *new]
        crossing = (tuple(around[i : i + RUN]) for i in range(len(around) - RUN + 1))
        return any(run in runs for run in crossing if len(run) == RUN)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


async def said_by(provider: ChatProvider, messages: list[Message], tokens: int) -> str:
    try:
        stream = provider.stream(messages, CallOptions(max_tokens=tokens))
        return "".join([delta.text async for delta in stream])
    except ProviderError as error:
        if error.kind == "bad_reply":  # it said nothing at all
            return ""
        raise


async def cuts(provider: ChatProvider, n: int, chance: random.Random) -> list[Cut]:
    prompts = [json.loads(line)["prompt"] for line in PROMPTS.read_text("utf-8").splitlines()]
    chance.shuffle(prompts)
    found: list[Cut] = []
    for prompt in prompts:
        if len(found) == n:
            break
        if len(prompt) > 400:
            continue
        text = await said_by(provider, [Message(role="user", content=prompt)], 90)
        places = [match.start() for match in re.finditer(r"\s", text)]
        if len(places) >= 25:
            place = chance.randrange(len(places) // 4, 3 * len(places) // 4)
            found.append(Cut(prompt, text[: places[place]]))
    return found


async def gone_on_with(provider: ChatProvider, cut: Cut, tokens: int, prefill: bool) -> Result:
    messages, _ = fallback_messages(cut.prompt, [], Retrieval(), tokens)
    said = await said_by(provider, continuation(messages, cut.shown, tokens, prefill=prefill), 60)
    seam = Seam(cut.shown)
    new = "".join(seam.feed(piece) for piece in re.findall(r"\S+\s*|\s+", said)) + seam.end()
    return Result(cut, said, new, seam.verdict == "joined")


async def measure(n: int, seed: int, show: bool, prefill: bool) -> list[Result]:
    with tempfile.TemporaryDirectory() as data:
        settings = load("config", data, environ={}, dotenv=None)
        providers = Providers(settings)
        try:
            found = await cuts(providers.get("llama-creative"), n, random.Random(seed))
            helper, tokens = providers.get("llama-precise"), settings.fallback.prompt_tokens
            results = []
            for cut in found:
                results.append(await gone_on_with(helper, cut, tokens, prefill))
                if show:
                    one = results[-1]
                    print(f"{one.joined}\t{cut.shown[-50:]!r}\t{one.said[:60]!r}\t{one.new[:60]!r}")
            return results
        finally:
            await providers.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print each seam")
    parser.add_argument(
        "--instructed", action="store_true", help="asked as other hosts' models are asked"
    )
    wanted = parser.parse_args()
    results = asyncio.run(measure(wanted.answers, wanted.seed, wanted.show, not wanted.instructed))
    joined = [result for result in results if result.joined]
    dropped = sum(result.whole_repetition_dropped for result in joined)
    twice = sum(result.repeats for result in joined)
    fences = sum(bool(FENCES.search(result.new)) for result in joined)
    share = len(joined) / len(results)
    rows = [
        ("goes on", f"{share:.0%} ({len(joined)}/{len(results)})", f"at least {SHARE:.0%}"),
        ("of these, repeated words were dropped", str(dropped), "–"),
        ("a run of five words over the seam twice", str(twice), "0"),
        ("a fence shows", str(fences), "0"),
    ]
    print_table("Continuations by the embedded LLaMA", ("what", "measured", "target"), rows)
    return 0 if share >= SHARE and not twice and not fences else 1


if __name__ == "__main__":
    sys.exit(main())

"""What the embedded LLaMA is worth as a second opinion:
`python -m benchmarks.classification_opinion [N]`, by default 30 of our own prompts, balanced, in
some minutes.

It is asked as the router asks a model (`race.opinion`), held to the schema, and given as long as it
wants. Printed are how often it is right, beside the classifier on the same prompts, and how long it
takes.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.bench import print_table
from benchmarks.classification import Case, cases, ready, shipped
from config.hosts import Host, Provider
from config.models import Category
from providers.base import CallOptions
from providers.embedded import EmbeddedLlama
from providers.llama_server import BUNDLED_MODEL
from providers.openai_chat import OpenAIChat
from providers.pool import Pool
from race.opinion import MOST_TOKENS, category_in, question, reply_form
from routing.classifier.classifier import MODEL
from vectorstore.prompt_encoder import PromptEncoder

SECONDS = 60.0
"""After which one prompt counts as not answered."""


def chosen(count: int) -> list[Case]:
    """As many of each category, always the same ones."""
    found = cases("dev")
    random.Random(4).shuffle(found)
    names = sorted({case.label for case in found})
    each = count // len(names)
    return [one for name in names for one in [c for c in found if c.label == name][:each]]


async def said(
    chat: OpenAIChat, categories: Mapping[str, Category], case: Case
) -> tuple[str | None, float]:
    """The category that it names, and the seconds that took."""
    options = CallOptions(
        max_tokens=MOST_TOKENS, temperature=0.0, extra=reply_form(list(categories))
    )
    text, begun = "", time.monotonic()
    try:
        async with asyncio.timeout(SECONDS):
            async for delta in chat.stream(question(categories, case.prompt), options):
                text += delta.text
    except TimeoutError:
        return None, SECONDS
    return category_in(text, categories), time.monotonic() - begun


async def measure(count: int) -> None:
    asked, categories = chosen(count), shipped()
    with tempfile.TemporaryDirectory() as folder:
        llama = EmbeddedLlama(BUNDLED_MODEL, Path(folder))
        provider = Provider(name="llama", host="embedded", model=BUNDLED_MODEL)
        provider = provider.model_copy(update={"resolved_model": BUNDLED_MODEL})
        chat = OpenAIChat(provider, Pool("embedded", Host(kind="llama_cpp")), llama)
        found = [await said(chat, categories, case) for case in asked]
        await chat.close()
        await llama.stop()
    classifier = ready(categories, PromptEncoder.load(MODEL))
    ours = [classifier.classify(case.prompt).category == case.label for case in asked]
    theirs = [word == case.label for (word, _), case in zip(found, asked, strict=True)]
    words = [word or "nothing" for word, _ in found]
    rows = [
        ("the embedded LLaMA is right", f"{statistics.fmean(theirs):.2f}"),
        ("the classifier is right", f"{statistics.fmean(ours):.2f}"),
        ("seconds of a word, median", f"{statistics.median(s for _, s in found):.1f}"),
        *((f"it says {word}", str(words.count(word))) for word in sorted(set(words))),
    ]
    print_table(f"A second opinion on {len(asked)} prompts", ("", ""), rows)


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 30))

"""What corrections and new categories do, on prompts of the training's many writers.

The encoder has seen these prompts, under their old categories; no writer knew of the new ones.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.bench import Row, print_table
from config.models import Category
from routing.classifier.classifier import MODEL, WEIGHTS, Classifier
from routing.classifier.lessons import Lesson
from routing.classifier.weights import Weights
from training import data
from vectorstore.prompt_encoder import PromptEncoder

CASES = Path(__file__).parent / "data" / "classification_curves.yaml"
UNSEEN = 30
STEPS = (5, 10, 20)


def report(
    categories: Mapping[str, Category], encoder: PromptEncoder, elsewhere: Sequence[str]
) -> None:
    """Print both curves; `elsewhere` are prompts that should stay where they are."""
    cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    weights = Weights.load((MODEL / WEIGHTS).read_bytes())
    before = Classifier.ready(weights, categories, encoder.embed, encoder.name)
    assert before is not None
    before = before.with_early_exit(encoder)
    stay = [before.classify(prompt).category for prompt in elsewhere]
    rows = [_curve(case, before, elsewhere, stay) for case in cases["corrections"]]
    columns = ("corrected intent", "at first", *(f"after {count}" for count in STEPS))
    title = (
        f"Right on {UNSEEN} unseen prompts: at once, generalised "
        "(changes elsewhere; in half A that are not of the kind)"
    )
    print_table(title, columns, rows)
    rows = []
    for name, case in cases["new"].items():
        added = Category(description=case["description"], examples=tuple(case["examples"]))
        grown = Classifier.train({**categories, name: added}, encoder.embed, encoder.name, weights)
        found = sum(grown.classify(prompt).category == name for prompt in case["unseen"])
        taken = [prompt for prompt in elsewhere if grown.classify(prompt).category == name]
        wrong = _strange(taken, case)
        figures = (found / len(case["unseen"]), found / max(1, found + 2 * wrong))
        shares = [f"{figure:.2f}" for figure in figures]
        rows.append((name, str(len(case["unseen"])), *shares, f"{len(taken)}, {wrong}"))
    columns = (
        "new category",
        "prompts",
        "recall",
        "precision",
        "taken elsewhere, wrongly in half A",
    )
    print_table("New categories by twelve examples (half A's wrong ones twice)", columns, rows)


def _strange(prompts: Sequence[str], case: Mapping[str, Any]) -> int:
    """How many are of half A, whose prompts were read, and do not belong to the case's kind."""
    digests = [hashlib.sha256(prompt.encode()).hexdigest() for prompt in prompts]
    read = [digest for digest in digests if int(digest, 16) % 2 == 0]
    return sum(digest[:20] not in case.get("belong", ()) for digest in read)


def _curve(
    case: Mapping[str, Any], before: Classifier, elsewhere: Sequence[str], stay: Sequence[str]
) -> Row:
    pool, target = _prompts(case["intents"]), str(case["category"])
    lessons = [Lesson(str(n), prompt, target) for n, prompt in enumerate(pool[: STEPS[-1]])]
    unseen = pool[STEPS[-1] :][:UNSEEN]

    def right(classifier: Classifier) -> float:
        return float(np.mean([classifier.classify(p).category == target for p in unseen]))

    row = [f"{', '.join(case['intents'])} → {target}", f"{right(before):.2f}"]
    for count in STEPS:
        taught = before.with_lessons(lessons[:count])
        learned = taught.generalised()
        changed = [
            p for p, was in zip(elsewhere, stay, strict=True) if learned.classify(p).category != was
        ]
        figures = f"{right(taught):.2f}, {right(learned):.2f}"
        row.append(f"{figures} ({len(changed)}; {_strange(changed, case)})")
    return tuple(row)


def _prompts(intents: Sequence[str]) -> list[str]:
    """The corpus' prompts with these intents, in an order that is always the same."""
    found = [one.prompt for one in data.corpus() if one.intent in intents]
    random.Random(2).shuffle(found)
    return found

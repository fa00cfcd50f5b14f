"""What corrections and new categories do, on prompts of the training's many writers.

The encoder has seen these prompts, under their old categories; no writer knew of the new ones.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

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
    stay = [before.classify(prompt).category for prompt in elsewhere]
    rows: list[Row] = []
    for case in cases["corrections"]:
        pool = _prompts(case["intents"])
        lessons = [Lesson(str(n), p, case["category"]) for n, p in enumerate(pool[: STEPS[-1]])]
        unseen = pool[STEPS[-1] :][:UNSEEN]
        row = [f"{', '.join(case['intents'])} → {case['category']}"]
        for count in (0, *STEPS):
            taught = before.with_lessons(lessons[:count])
            right = np.mean([taught.classify(p).category == case["category"] for p in unseen])
            flips = sum(
                taught.classify(p).category != was for p, was in zip(elsewhere, stay, strict=True)
            )
            row.append(f"{right:.2f} ({flips})")
        rows.append(tuple(row))
    columns = ("corrected intent", *(f"after {count}" for count in (0, *STEPS)))
    print_table(f"Right on {UNSEEN} unseen prompts (flips elsewhere)", columns, rows)
    rows = []
    for name, case in cases["new"].items():
        added = Category(description=case["description"], examples=tuple(case["examples"]))
        grown = Classifier.train({**categories, name: added}, encoder.embed, encoder.name, weights)
        english = _prompts(case["intents"], "en")[:UNSEEN]
        recall = np.mean([grown.classify(prompt).category == name for prompt in english])
        taken = sum(grown.classify(prompt).category == name for prompt in elsewhere)
        rows.append((name, str(len(english)), f"{recall:.2f}", str(taken)))
    columns = ("new category", "prompts", "recall", f"taken of {len(elsewhere)} others")
    print_table("New categories by twelve examples", columns, rows)


def _prompts(intents: Sequence[str], lang: str | None = None) -> list[str]:
    """The corpus' prompts with these intents, in an order that is always the same."""
    found = [
        one.prompt for one in data.corpus() if one.intent in intents and lang in (None, one.lang)
    ]
    random.Random(2).shuffle(found)
    return found

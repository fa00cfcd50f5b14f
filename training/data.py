"""The prompts that the classifier learns from: `categories.yaml`, and `training/prompts`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from config.loader import load
from config.models import Category
from routing.classifier.training import examples

ROOT = Path(__file__).parent.parent
PROMPTS = Path(__file__).parent / "prompts"
SHIPPED = "categories.yaml"
"""The writer of the examples that users see."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A labelled prompt: who wrote it, in which language (ISO 639-1), for which purpose."""

    prompt: str
    category: str
    intent: str
    writer: str
    lang: str


def categories() -> dict[str, Category]:
    """The categories that the repository ships."""
    with tempfile.TemporaryDirectory() as data:
        return load(ROOT / "config", data, environ={}, dotenv=None).categories


def corpus() -> list[Prompt]:
    """The prompts that were written for training alone, file by file."""
    lines = [
        line
        for path in sorted(PROMPTS.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return [Prompt(**json.loads(line)) for line in lines]


def everything(shipped: dict[str, Category]) -> list[Prompt]:
    """The examples of the configuration, then the corpus."""
    known = [Prompt(one.text, one.category, one.intent, SHIPPED, "en") for one in examples(shipped)]
    return known + [one for one in corpus() if one.category in shipped]


def held_out(prompts: Sequence[Prompt], writers: Sequence[str]) -> tuple[list[int], list[int]]:
    """The rows to learn from, and those of the writers that are left out as a whole."""
    apart = [row for row, one in enumerate(prompts) if one.writer in writers]
    left = set(apart)
    return [row for row in range(len(prompts)) if row not in left], apart

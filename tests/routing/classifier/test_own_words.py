"""What the classifier sees of agents' requests.

`data/agent_requests.jsonl` holds recorded shapes: the marks are those of public agent programs and
editors, every value in them is made up.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from routing.classifier.own_words import conversation, own_words

SHAPES = [
    json.loads(line)
    for line in (Path(__file__).parent / "data/agent_requests.jsonl").read_text().splitlines()
]


def test_there_are_fifty_shapes() -> None:
    assert len({shape["kind"] for shape in SHAPES}) >= 50


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape["kind"])
def test_only_the_users_words_are_classified(shape: dict[str, Any]) -> None:
    turns = [(m["role"], m["content"]) for m in shape["messages"]]
    assert conversation(turns)[0].strip() == shape["own"]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape["kind"])
def test_a_loop_over_tools_keeps_the_prompt_and_the_turns_before_it(shape: dict[str, Any]) -> None:
    """Two steps further the same prompt is classified, so that the category cannot change."""
    turns = [("user", "Good morning!"), ("assistant", "Good morning.")]
    turns += [(m["role"], m["content"]) for m in shape["messages"]]
    steps = [("assistant", ""), ("tool", "exit code 1"), ("assistant", "Again."), ("tool", "ok")]
    assert conversation([*turns, *steps]) == conversation(turns)


def test_plain_text_is_taken_as_it_stands() -> None:
    plain = "  Why is the sky blue?\n\nIn two sentences: a < b, and if a <= b then `c`.  "
    assert own_words(plain) == plain


@pytest.mark.parametrize(
    "hostile",
    [
        "<context>" * 40_000,
        "<a" * 100_000,
        "[CONTEXT 1]\n" * 30_000,
        "```a.b\n" * 40_000,
        "<" * 300_000,
    ],
)
def test_the_time_is_linear_whatever_the_text(hostile: str) -> None:
    began = time.process_time()
    own_words(hostile)
    assert time.process_time() - began < 1.0

"""Python's own documentation topics, as they come with every Python: what `help("with")` shows.

A real technical corpus on every machine (`pydoc_data.topics`, PSF licence), so that questions on
the language meet something before any document is added.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

FOLDER = "python"
"""Stands where the absolute path of the folder stands for documents from files."""

_HEADING = re.compile(r"^(?=\S[^\n]*\n(?:\*{3,}|={3,}|-{3,}|~{3,}|\^{3,}|\"{3,})$)", re.MULTILINE)
_RULE = re.compile(r"^[*=\-~^\"]{3,}$", re.MULTILINE)


def python_topics() -> Iterator[tuple[str, str]]:
    """(source, text) of each topic, `source` being "python/<topic>".

    Many topics are collections of others: "compound" holds "if", "while" and the rest word for
    word. A section is given once, under the smallest topic that holds it, which has the best name.
    """
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    seen: set[str] = set()
    for name, text in sorted(topics.items(), key=_size_and_name):
        fresh = []
        for section in re.split(_HEADING, text):
            words = " ".join(re.sub(_RULE, "", section).split())
            if words not in seen:
                fresh.append(section)
            seen.add(words)
        if any(section.strip() for section in fresh):
            yield f"python/{name}", "".join(fresh)


def _size_and_name(topic: tuple[str, str]) -> tuple[int, bool, str]:
    """Of two names for the same text, "if" and "else", the one that its heading has comes first."""
    name, text = topic
    return len(text), f'"{name}"' not in text.partition("\n")[0], name

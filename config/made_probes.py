"""Makes a request a probe prompt of its category: an entry of `probes.yaml`."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any, cast

import yaml

from config.errors import AlreadyThereError, UsageError
from config.journal import Change
from config.probe_sets import PROBES_FILE
from config.writer import Entries, Step, Writer
from config.yaml_splice import insert_item

BLANK = """\
# Probe prompts that were made of requests on the page. A new model of that category is asked them
# besides those of probes/<category>.yaml before it is added; see docs/search.md.
"""
EMPTY = f"{BLANK}probes: []\n".encode()
KINDS = ("contains", "answer", "numeric", "lacks", "regex")
"""Checks that can be made on the page; `config.probe_sets.Check` says what each looks at."""
LEVELS = ("easy", "medium", "hard")
SHORTEST, LONGEST = 8, 2000
MOST_EXPECTED = 500


@dataclass(frozen=True, slots=True)
class NewProbe:
    """A probe as the file gets it. `expected` is written as `kind` wants it: words or phrases
    separated by commas, a number, or a pattern."""

    id: str
    category: str
    prompt: str
    kind: str
    expected: str
    level: str = "medium"

    def entry(self) -> dict[str, object]:
        """Raises UsageError that names what is wrong."""
        prompt, size = self.prompt.strip(), len(self.prompt.strip())
        if not SHORTEST <= size <= LONGEST:
            said = f"a probe's prompt has {SHORTEST} to {LONGEST:,} characters; this one has"
            raise UsageError(f"{said} {size:,}", "prompt")
        if self.kind not in KINDS:
            raise UsageError(f"a check is one of {', '.join(KINDS)}", "kind")
        if self.level not in LEVELS:
            raise UsageError(f"a level is one of {', '.join(LEVELS)}", "level")
        return {
            "id": self.id,
            "category": self.category,
            "prompt": prompt,
            "level": self.level,
            "checks": [{self.kind: self._expected()}],
        }

    def _expected(self) -> object:
        text = self.expected.strip()
        if not text or len(text) > MOST_EXPECTED:
            said = "say what a right answer has"
            raise UsageError(f"{said}, in at most {MOST_EXPECTED} characters", "expected")
        if self.kind == "regex":
            try:
                re.compile(text)
            except re.error as error:
                said = f"the expected pattern is not a regular expression ({error})"
                raise UsageError(said, "expected") from None
            return text
        if self.kind == "numeric":
            try:
                return float(text)
            except ValueError:
                raise UsageError("the expected number is no number", "expected") from None
        return [one.strip() for one in text.split(",") if one.strip()]

    def edit(self, text: str, data: Entries) -> str:
        """The file's text with it, and its values likewise."""
        entry, probes = self.entry(), cast("Any", data)["probes"]
        if any(one["id"] == self.id for one in probes):
            raise AlreadyThereError(f"this request is the probe `{self.id}` already")
        first = not probes and "probes: []" in text
        probes.append(copy.deepcopy(entry))
        if first:
            return text.replace("probes: []", f"probes:\n{_item(entry)}".rstrip())
        return insert_item(text, ("probes",), entry)


def _item(entry: dict[str, object]) -> str:
    return yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=96)


def _writer(config_dir: Path, data_dir: Path, step: Step = lambda _: None) -> Writer:
    return Writer(config_dir, data_dir, step, PROBES_FILE, blank=EMPTY)


def add_probe(config_dir: Path, data_dir: Path, one: NewProbe, note: str) -> Change:
    """Write it; undone as any other change. Raises UsageError, AlreadyThereError, ConfigError."""
    return _writer(config_dir, data_dir).change("probe", one.id, note, one.edit)


def difference(config_dir: Path, data_dir: Path, one: NewProbe) -> list[str]:
    """What `add_probe` would change, as lines of a unified diff; raises as it does."""
    before, after = _writer(config_dir, data_dir).preview(one.edit)
    names = PROBES_FILE, PROBES_FILE
    return list(unified_diff(before.splitlines(), after.splitlines(), *names, "", "", 2, ""))[2:]

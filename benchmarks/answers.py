"""How well the heuristics of `routing.quality` find the faults of an answer's form.

`python -m benchmarks.answers` measures on the half of `data/answers.yaml` that nothing was mended
by; `--mend` shows the errors of the other half, and of that one alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.bench import Row, print_table
from routing.quality import FACTORS, faults

ANSWERS = Path(__file__).parent / "data" / "answers.yaml"
PRECISION, RECALL = 0.95, 0.80
"""A fault that is not there costs a good model; one that is missed only helps a bad one a while."""


@dataclass(frozen=True)
class Answer:
    prompt: str
    text: str
    finish: str
    fault: str | None

    def found(self) -> list[str]:
        return faults(self.prompt, self.text, self.finish)


def read() -> list[Answer]:
    rows = yaml.safe_load(ANSWERS.read_text(encoding="utf-8"))
    return [
        Answer(
            row["prompt"],
            row["answer"] * row.get("times", 1),
            row.get("finish", "stop"),
            row.get("fault"),
        )
        for row in rows
    ]


def measure(answers: Sequence[Answer], fault: str) -> tuple[int, int, int]:
    """How often it is there, is found, and is found where it is."""
    found = [answer for answer in answers if fault in answer.found()]
    there = sum(answer.fault == fault for answer in answers)
    return there, len(found), sum(answer.fault == fault for answer in found)


def judged(answers: Sequence[Answer], fault: str) -> Row:
    there, found, right = measure(answers, fault)
    precision, recall = right / found if found else 1.0, right / there
    ok = precision >= PRECISION and recall >= RECALL
    shown = f"{precision:.2f} ({right}/{found})", f"{recall:.2f} ({right}/{there})"
    return (fault, str(there), *shown, "ok" if ok else "MISSED")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mend", action="store_true", help="the errors of the half to mend by")
    options = parser.parse_args()
    answers = read()
    if options.mend:
        for answer in answers[0::2]:
            if answer.found() != ([answer.fault] if answer.fault else []):
                print(f"{answer.fault or 'none'}, found {answer.found()}: {answer}"[:240])
        return 0
    half = answers[1::2]
    rows = [judged(half, fault) for fault in FACTORS]
    sound = [answer for answer in half if answer.fault is None]
    clean = sum(not answer.found() for answer in sound)
    rows.append(
        ("none", str(len(sound)), "", f"{clean / len(sound):.2f} ({clean}/{len(sound)})", "")
    )
    columns = ("fault", "examples", f"precision ≥ {PRECISION}", f"recall ≥ {RECALL}", "")
    print_table("Faults of form, on answers that nothing was mended by", columns, rows)
    return 1 if any(row[-1] == "MISSED" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

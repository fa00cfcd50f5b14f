"""The public prompts that classification is measured on first, and what it makes of them.

`benchmarks/data/public.jsonl` holds their labels without their texts: `source` (MT-Bench and Vicuna
from lm-sys/FastChat, WizardLM's test set from nlpxucan/WizardLM), `place` among those of the source
that are used, in the source's order, the first 20 digits of the SHA-256 of the text in UTF-8, and
the acceptable categories. Whoever has the sources writes a file with `prompt` and `labels` a line.

They were labelled twice, blind, from the definitions in `docs/classification.md` alone; the two
labellings agree on 98.4%. They are split by the parity of their hash: errors were read in half A.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.bench import Row, print_table
from routing.classifier.classifier import Classification, Classifier

LABELS = Path(__file__).parent / "data" / "public.jsonl"
BINS = 10
SURE = 0.9
ACCURACY, CALIBRATION, SURE_AND_WRONG = 0.92, 0.05, 0.02


@dataclass(frozen=True)
class Public:
    """A prompt, its acceptable categories, and where it is from."""

    prompt: str
    labels: tuple[str, ...]
    source: str
    half: str


def read(path: Path) -> list[Public]:
    """Prompts with labels; those of the published set get their source and half by their hash."""
    lines = LABELS.read_text(encoding="utf-8").splitlines()
    known = {row["sha256"]: row for row in map(json.loads, lines)}
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        digest = hashlib.sha256(row["prompt"].encode()).hexdigest()
        where = known.get(digest[:20], {})
        half = "B" if int(digest, 16) % 2 else "A"
        source = str(where.get("source", path.stem))
        found.append(Public(row["prompt"], tuple(row["labels"]), source, half))
    return found


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Over ten bins of equal mass: the mean distance of confidence and accuracy."""
    bins = np.array_split(np.argsort(confidence, kind="stable"), BINS)
    off = sum(abs(confidence[b].mean() - right[b].mean()) * len(b) for b in bins if len(b))
    return float(off / len(right))


def _stages(found: Sequence[Classification]) -> dict[str, float]:
    """The share of the prompts that each stage decided."""
    counts = Counter(str(one.evidence["stage"]) for one in found)
    return {stage: counts[stage] / len(found) for stage in sorted(counts)}


def report(classifier: Classifier, names: Sequence[str], prompts: Sequence[Public]) -> bool:
    """Print what is made of them; True if the targets are met."""
    found = [classifier.classify(one.prompt) for one in prompts]
    right = np.array([f.category in one.labels for f, one in zip(found, prompts, strict=True)])
    confidence = np.array([one.confidence for one in found])
    sure_and_wrong = float(((confidence > SURE) & ~right).mean())
    error = expected_calibration_error(confidence, right)
    rows: list[Row] = [
        ("accuracy", f"{right.mean():.3f}", f"≥ {ACCURACY}"),
        ("expected calibration error", f"{error:.3f}", f"≤ {CALIBRATION}"),
        ("above 0.9 sure, and wrong", f"{sure_and_wrong:.3f}", f"≤ {SURE_AND_WRONG}"),
        *((f"decided by: {stage}", f"{share:.2f}", "") for stage, share in _stages(found).items()),
    ]
    for name in dict.fromkeys(one.half for one in sorted(prompts, key=lambda p: p.half)):
        mine = np.array([one.half == name for one in prompts])
        rows.append((f"accuracy on half {name} ({mine.sum()})", f"{right[mine].mean():.3f}", ""))
    for name in dict.fromkeys(one.source for one in prompts):
        mine = np.array([one.source == name for one in prompts])
        rows.append((f"accuracy on {name} ({mine.sum()})", f"{right[mine].mean():.3f}", ""))
    print_table(f"{len(prompts)} public prompts", ("", "", "target"), rows)
    counts = np.zeros((len(names), len(names)), dtype=int)
    for one, f in zip(prompts, found, strict=True):
        true = f.category if f.category in one.labels else one.labels[0]
        counts[names.index(true), names.index(f.category)] += 1
    table = [(name, *map(str, row)) for name, row in zip(names, counts, strict=True)]
    print_table("Confusion: rows are true, columns chosen", ("", *names), table)
    met = right.mean() >= ACCURACY and error <= CALIBRATION
    return bool(met and sure_and_wrong <= SURE_AND_WRONG)

"""Public evidence of model quality: dated leaderboard figures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from config.checks import duplicate_keys
from config.hosts import Model
from config.mistakes import Mistake, refuse, validate
from config.models import Category
from config.yaml_file import YamlFile

EVIDENCE_FILE = "evidence.yaml"
SHIPPED = Path(__file__).parent / EVIDENCE_FILE
Words = tuple[str, ...]
Weights = dict[str, float]


class Benchmark(Model):
    """One public measurement; figures are comparable within a benchmark."""

    title: str
    group: str
    """Who measures it. Holding out one benchmark holds out all of its group."""
    skills: tuple[str, ...] = Field(min_length=1)
    """Keys of `skills` that it measures."""
    date: date
    source: str
    """Where the figures were read."""
    licence: str = "none stated"
    arena: str | None = None
    """The part and category of LMArena's data set that has newer figures for it."""


def _with_error(value: object) -> object:
    return {"value": value} if isinstance(value, int | float) else _pair(value)


def _pair(value: object) -> object:
    if isinstance(value, list) and len(value) == 2:
        return {"value": value[0], "error": value[1]}
    return value


class Figure(Model):
    """A benchmark's figure for a model; in the file a number, or a number and its 95%
    half-width."""

    value: float
    error: float = Field(default=0.0, ge=0)
    date: str | None = None
    """The day of the figure, if it differs from its benchmark's."""
    source: str | None = None


class Evidence(Model):
    """`figures` by model and benchmark; models are named as on the Hugging Face Hub."""

    date: date
    skills: dict[str, Words]
    """Words of a category's description that imply a skill; `math*` matches any word with that
    prefix."""
    benchmarks: dict[str, Benchmark]
    figures: dict[str, dict[str, Annotated[Figure, BeforeValidator(_with_error)]]]
    arena_names: dict[str, str] = Field(default_factory=dict)
    """LMArena's name for a model, where it differs from the hub's."""

    def without(self, group: str) -> Evidence:
        """A copy without the benchmarks of one group."""
        kept = {name: b for name, b in self.benchmarks.items() if b.group != group}
        less = self.without_figures(self.benchmarks.keys() - kept.keys())
        return less.model_copy(update={"benchmarks": kept})

    def without_figures(self, benchmarks: Collection[str]) -> Evidence:
        """A copy without the figures of these benchmarks."""
        figures = {
            model: {name: figure for name, figure in row.items() if name not in benchmarks}
            for model, row in self.figures.items()
        }
        return self.model_copy(update={"figures": figures})


def load_evidence(config_dir: str | Path) -> Evidence:
    """`evidence.yaml` from the folder, or the one that is shipped.

    Raises ConfigError, as `config.loader.load` does.
    """
    own = Path(config_dir) / EVIDENCE_FILE
    file = YamlFile(own if own.is_file() else SHIPPED)
    evidence, wrong = validate(file, Evidence, file.data)
    refuse([*duplicate_keys(file), *wrong])
    assert isinstance(evidence, Evidence)
    refuse(_inconsistent(file, evidence))
    return evidence


def weights_for(category: str, categories: Mapping[str, Category], known: Evidence) -> Weights:
    """How much each benchmark counts for a category; the weights sum to 1.

    They come from the category's own `benchmarks`. Without those, every skill that the description
    implies counts equally; if it implies none, every benchmark does.
    """
    declared = categories[category].benchmarks if category in categories else {}
    chosen = {name: weight for name, weight in declared.items() if name in known.benchmarks}
    if not any(chosen.values()):
        description = categories[category].description if category in categories else category
        chosen = _by_description(f"{category} {description}", known)
    total = sum(chosen.values())
    return {name: weight / total for name, weight in chosen.items() if weight} if total else {}


def _by_description(text: str, known: Evidence) -> dict[str, float]:
    words = {word.strip(".,;:()'\"").lower() for word in text.replace("-", " ").split()}
    asked = {
        skill for skill, names in known.skills.items() if any(_says(words, name) for name in names)
    }
    weights = {
        name: sum(skill in asked for skill in benchmark.skills) / len(benchmark.skills)
        for name, benchmark in known.benchmarks.items()
    }
    return weights if any(weights.values()) else dict.fromkeys(known.benchmarks, 1.0)


def _says(words: set[str], name: str) -> bool:
    stem = name.removesuffix("*")
    return any(word.startswith(stem) if name.endswith("*") else word == stem for word in words)


def _inconsistent(file: YamlFile, evidence: Evidence) -> Iterator[Mistake]:
    for name, benchmark in evidence.benchmarks.items():
        for skill in set(benchmark.skills) - evidence.skills.keys():
            line = file.line(("benchmarks", name))
            text = f"`{name}` names the unknown skill `{skill}`: add it under `skills`"
            yield Mistake(file.path, line, text)
    for model, row in evidence.figures.items():
        for name in row.keys() - evidence.benchmarks.keys():
            line = file.line(("figures", model))
            text = f"`{model}` has a figure for the unknown benchmark `{name}`: add that first"
            yield Mistake(file.path, line, text)

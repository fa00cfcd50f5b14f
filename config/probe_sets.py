"""The probe prompts of a category: questions whose answers can be checked without running them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from config.mistakes import Mistake, refuse, validate
from config.models import Model
from config.yaml_file import YamlFile

SHIPPED = Path(__file__).parent / "probes"


def _tuple(value: object) -> object:
    """One text stands for a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_tuple), Field(min_length=1)]


class Span(Model):
    """How many; either end may be open."""

    min: int = Field(default=0, ge=0)
    max: int | None = Field(default=None, ge=0)


Count = Annotated[
    Span, BeforeValidator(lambda v: {"min": v, "max": v} if isinstance(v, int) else v)
]


def _compiled(pattern: str | None) -> str | None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise ValueError(f"is no regular expression ({error}): mend it") from None
    return pattern


class JsonShape(Model):
    """An object (or, with `items`, a list of so many) with these keys and values."""

    keys: tuple[str, ...] = ()
    values: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    items: int | None = Field(default=None, ge=0)


class CsvShape(Model):
    """Comma-separated lines, the head among the rows."""

    rows: int = Field(gt=0)
    columns: int = Field(gt=0)


class Items(Model):
    """So many items, each of which a pattern matches as a whole, whatever its case."""

    count: Count
    each: str = ".+"
    by: Literal["comma", "line", "word"] = "comma"
    """What parts them; a new line parts them as a comma does."""
    distinct: bool = True

    _compiles = field_validator("each")(_compiled)


class Check(Model):
    """One thing that can be seen of an answer; exactly one key is set.

    Unicode's dashes, spaces and quotes, a code fence around the whole and Markdown's marks make no
    difference to any of them.
    """

    answer: Texts | None = None
    """What the answer claims is one of these: filling words, words of the question, reasons and
    asides in brackets do not count."""
    exact: Texts | None = None
    """The whole answer, but for case, spaces and punctuation at its ends."""
    numeric: float | None = None
    """The number that the answer claims: the first one, or the result of a worked answer."""
    expression: Texts | None = None
    """A formula in one of these spellings; spaces, LaTeX and signs of multiplication are equal."""
    list_: Texts | None = Field(default=None, alias="list")
    """These items in this order and no others; forms of one are parted by `|`."""
    python: str | None = None
    """Code that its parser prints so (a pattern for the whole); its own names are v1, v2, …"""
    match: str | None = None
    """The whole answer or its code block, whatever its case."""
    regex: str | None = None
    """Found somewhere in the answer, whatever its case; `^` and `$` are those of a line."""
    contains: Texts | None = None
    """All of these as whole words, whatever their case; `stem*` stands for what begins so."""
    any: Texts | None = None
    """At least one of these, likewise."""
    lacks: Texts | None = None
    """None of these, likewise."""
    words: Count | None = None
    lines: Count | None = None
    """Lines that are not empty."""
    sentences: Count | None = None
    items: Items | None = None
    characters: Count | None = None
    json_: JsonShape | None = Field(default=None, alias="json")
    """The whole answer is JSON, a code fence around it aside."""
    csv: CsvShape | None = None

    _compiles = field_validator("regex", "match", "python")(_compiled)

    @model_validator(mode="after")
    def _one_key(self) -> Check:
        if len(self.model_fields_set) != 1:
            raise ValueError("must have exactly one key, such as `numeric: 42`")
        return self


class Probe(Model):
    """One prompt; its score is the share of its checks that hold."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{2,48}$")]
    prompt: str = Field(min_length=8, max_length=2000)
    checks: tuple[Check, ...] = Field(min_length=1)
    max_tokens: int = Field(default=160, gt=0, le=1024)
    """For the answer; a model that thinks gets `thoughts` beside it."""
    thoughts: int = Field(default=4096, gt=0, le=32_768)
    level: Literal["easy", "medium", "hard"] = "medium"
    """Hard: a model of 70 billion parameters is expected to fail about half of them."""
    right: tuple[str, ...] = ()
    """Answers that must pass every check, in the forms that models write; for tests."""
    wrong: tuple[str, ...] = ()
    """Near misses that must not pass every check; for tests."""


class ProbeSet(Model):
    """The probes of a category."""

    category: str
    probes: tuple[Probe, ...] = Field(min_length=1)


def load_probes(config_dir: str | Path, category: str) -> ProbeSet | None:
    """`probes/<category>.yaml` of the folder, else the shipped one; None where there is neither.

    Raises ConfigError, as `config.loader.load` does.
    """
    for folder in (Path(config_dir) / "probes", SHIPPED):
        path = folder / f"{category}.yaml"
        if path.is_file():
            return _load(path)
    return None


def _load(path: Path) -> ProbeSet:
    file = YamlFile(path)
    probes, wrong = validate(file, ProbeSet, file.data)
    refuse(wrong)
    assert isinstance(probes, ProbeSet)
    seen: set[str] = set()
    for index, probe in enumerate(probes.probes):
        if probe.id in seen:
            line = file.line(("probes", index, "id"))
            refuse([Mistake(path, line, f"`{probe.id}` stands twice: give one another id")])
        seen.add(probe.id)
    return probes

"""A category's probe prompts: questions whose answers can be checked without executing anything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from config.hosts import Model
from config.mistakes import Mistake, refuse, validate
from config.yaml_file import YamlFile

SHIPPED = Path(__file__).parent / "probes"


def _tuple(value: object) -> object:
    """Wrap a single text in a tuple."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_tuple), Field(min_length=1)]


class Span(Model):
    """Bounds on a count; either end may be open."""

    min: int = Field(default=0, ge=0)
    max: int | None = Field(default=None, ge=0)


Count = Annotated[
    Span, BeforeValidator(lambda v: {"min": v, "max": v} if isinstance(v, int) else v)
]


def _compiled(pattern: str | None) -> str | None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        raise ValueError(f"is not a regular expression ({error}): correct it") from None
    return pattern


class JsonShape(Model):
    """An object with these keys and values (with `items`: a list of so many of them)."""

    keys: tuple[str, ...] = ()
    values: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    items: int | None = Field(default=None, ge=0)


class CsvShape(Model):
    """Comma-separated lines; the header counts as a row."""

    rows: int = Field(gt=0)
    columns: int = Field(gt=0)


class Items(Model):
    """A number of items, each matched as a whole by a pattern, ignoring case."""

    count: Count
    each: str = ".+"
    by: Literal["comma", "line", "word"] = "comma"
    """The separator; a new line separates as a comma does."""
    distinct: bool = True

    _compiles = field_validator("each")(_compiled)


class Check(Model):
    """One checkable property of an answer; exactly one key is set.

    Every check ignores differences in Unicode dashes, spaces and quotes, a code fence around the
    whole answer, and Markdown formatting.
    """

    answer: Texts | None = None
    """The answer's claim is one of these, not counting filler words, words of the question, reasons
    and parentheses."""
    exact: Texts | None = None
    """The whole answer, ignoring case and surrounding spaces and punctuation."""
    numeric: float | None = None
    """The number the answer claims: the first one, or the result of a worked answer."""
    expression: Texts | None = None
    """A formula in one of these spellings; spaces, LaTeX and multiplication signs are
    normalised."""
    list_: Texts | None = Field(default=None, alias="list")
    """These items in this order and no others; `|` separates accepted forms of one item."""
    python: str | None = None
    """A pattern for the whole code as its parser prints it, with local names replaced by v1, v2,
    …"""
    match: str | None = None
    """The whole answer or its code block, ignoring case."""
    regex: str | None = None
    """Found anywhere in the answer, ignoring case; `^` and `$` match at line ends."""
    contains: Texts | None = None
    """All of these as whole words, ignoring case; `stem*` matches any word with that prefix."""
    any: Texts | None = None
    """At least one of these, with the same matching."""
    lacks: Texts | None = None
    """None of these, with the same matching."""
    words: Count | None = None
    lines: Count | None = None
    """The number of non-empty lines."""
    sentences: Count | None = None
    items: Items | None = None
    characters: Count | None = None
    json_: JsonShape | None = Field(default=None, alias="json")
    """The whole answer is JSON, optionally inside a code fence."""
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
    """Token limit of the answer; a model that reasons gets `thoughts` on top."""
    thoughts: int = Field(default=4096, gt=0, le=32_768)
    level: Literal["easy", "medium", "hard"] = "medium"
    """Hard: a model of 70 billion parameters is expected to fail about half of these."""
    right: tuple[str, ...] = ()
    """Answers that must pass every check, in forms that models write; for tests."""
    wrong: tuple[str, ...] = ()
    """Near misses that must not pass every check; for tests."""


class ProbeSet(Model):
    """The probes of a category."""

    category: str
    probes: tuple[Probe, ...] = Field(min_length=1)


class MadeProbe(Probe):
    """A probe that somebody made of a request."""

    category: str


class MadeProbes(Model):
    """`probes.yaml`."""

    probes: tuple[MadeProbe, ...] = ()


PROBES_FILE = "probes.yaml"
"""In the configuration's folder: probes made of requests, asked besides those of the sets."""


def load_probes(config_dir: str | Path, category: str) -> ProbeSet | None:
    """`probes/<category>.yaml` from the folder, or the one that is shipped, and the probes of that
    category in `probes.yaml`; None if there are none.

    Raises ConfigError, as `config.loader.load` does.
    """
    folders = (Path(config_dir) / "probes", SHIPPED)
    paths = [folder / f"{category}.yaml" for folder in folders]
    path = next((path for path in paths if path.is_file()), None)
    own = _load(path, ProbeSet).probes if path is not None else ()
    made = [one for one in load_made(config_dir).probes if one.category == category]
    probes = (*own, *made)
    return ProbeSet(category=category, probes=probes) if probes else None


def load_made(config_dir: str | Path) -> MadeProbes:
    """The probes that were made of requests; none without the file. Raises ConfigError."""
    path = Path(config_dir) / PROBES_FILE
    return _load(path, MadeProbes) if path.is_file() else MadeProbes()


S = TypeVar("S", ProbeSet, MadeProbes)


def _load(path: Path, kind: type[S]) -> S:
    file = YamlFile(path)
    probes, wrong = validate(file, kind, file.data)
    refuse(wrong)
    assert isinstance(probes, kind)
    seen: set[str] = set()
    for index, probe in enumerate(probes.probes):
        if probe.id in seen:
            line = file.line(("probes", index, "id"))
            refuse([Mistake(path, line, f"`{probe.id}` appears twice: give one another id")])
        seen.add(probe.id)
    return probes

"""Mistakes in a configuration file: where each one is, and its message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args, overload

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from config.errors import ConfigError
from config.yaml_file import Loc, YamlFile

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong and how to fix it, at a line (from 1) of a file."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def refuse(mistakes: Iterable[Mistake]) -> None:
    """Raise ConfigError with the first mistake and the number of others; do nothing if there are
    none."""
    found = list(dict.fromkeys(mistakes))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ConfigError(f"{found[0]}{more}")


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean …?`, or the list of known names if none is similar."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known are {', '.join(f'`{n}`' for n in names)}" if names else "none is known"


@overload
def validate(
    file: YamlFile, schema: type[T], data: object, base: Loc = ...
) -> tuple[T | None, list[Mistake]]: ...


@overload
def validate(
    file: YamlFile, schema: TypeAdapter[T], data: object, base: Loc = ...
) -> tuple[T | None, list[Mistake]]: ...


def validate(
    file: YamlFile, schema: type[T] | TypeAdapter[T], data: object, base: Loc = ()
) -> tuple[T | None, list[Mistake]]:
    """The typed object, or None and the mistakes in `data`, which lies at `base` in the file.

    Types are strict (`yes` is not a number), except that a list is accepted for a tuple, which YAML
    does not have.
    """
    adapter = schema if isinstance(schema, TypeAdapter) else TypeAdapter(schema)
    try:
        return adapter.validate_json(file.as_json(data), strict=True), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, _distinct(file, schema, details, base)


def _distinct(
    file: YamlFile, schema: object, details: list[ErrorDetails], base: Loc
) -> list[Mistake]:
    """At most one mistake for each place: a union reports the same value once for each of its
    branches, and a misspelt key is also reported as a missing one."""
    misspelt = {detail["loc"][:-1] for detail in details if detail["type"] == "extra_forbidden"}
    found: dict[Loc, Mistake] = {}
    for detail in details:
        if detail["type"] == "missing" and detail["loc"][:-1] in misspelt:
            continue
        full = (*base, *(part for part in detail["loc"] if part != "[key]"))
        loc = full if detail["type"] == "missing" else file.existing(full)
        key = file.describe(loc)
        text = _explain(detail, key, str(full[-1]) if full else "", _known(schema, detail["loc"]))
        found.setdefault(loc, Mistake(file.path, file.line(loc), text))
    return sorted(found.values(), key=lambda mistake: mistake.line)


_WANTED = {
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "tuple_type": "must be a list, such as [a, b]",
    "list_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping of `key: value` lines",
    "model_type": "must be a mapping of `key: value` lines",
    "model_attributes_type": "must be a mapping of `key: value` lines",
    "string_pattern_mismatch": (
        "is not a valid name: use letters, digits and . _ : -, at most 64, a letter or digit first"
    ),
    "too_short": "must not be empty",
}
_BOUNDS = {
    "greater_than_equal": "ge",
    "greater_than": "gt",
    "less_than_equal": "le",
    "less_than": "lt",
}
_BOUND_WORDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _explain(detail: ErrorDetails, key: str, last: str, known: list[str]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key `{key}`: {nearest(last, known)}"
    if kind == "missing":
        return f"`{key}` is missing: add it"
    if kind in _BOUNDS:
        bound = _BOUNDS[kind]
        return f"`{key}` must be {_BOUND_WORDS[bound]} {context[bound]:g}"
    if kind == "literal_error":
        return f"`{key}` must be {context['expected']}"
    if kind.startswith("date_") or str(context.get("pattern", "")).startswith(r"^\d{4}"):
        return f"`{key}` must be a date, such as 2026-10-01"
    if kind == "value_error":
        return f"`{key}` {context['error']}"
    return f"`{key}` {_WANTED.get(kind, detail['msg'])}"


def _known(schema: object, loc: tuple[int | str, ...]) -> list[str]:
    """The keys known to the model around `loc`, for a suggestion."""
    model = _model_in(schema)
    for part in loc[:-1]:
        if model is not None and isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return [] if model is None else [n for n, f in model.model_fields.items() if not f.exclude]


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model inside an annotation such as `dict[str, Host]` or `Cost | None`."""
    if isinstance(annotation, TypeAdapter):
        annotation = annotation._type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(inner) for inner in get_args(annotation))
    return next((model for model in found if model is not None), None)

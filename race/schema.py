"""Whether an answer matches the requested JSON format.

The schema comes from the caller and the answer from a model: neither is trusted. Nothing is
fetched, sizes are bounded, and the check runs in a separate thread that stops itself after CHECK_S,
even inside a regular expression.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Protocol, cast

import regex

from config.errors import UsageError
from providers.fields import check_json

QUICK = 20_000
"""Characters of JSON that are parsed within a millisecond."""
CHECK_S = 0.5
"""Seconds; an answer that takes longer to check is accepted, since the schema is the caller's
own."""
MAX_SCHEMA_CHARACTERS = 100_000
PATTERN_S = 0.1

_HELD = frozenset({"name", "description", "strict"})
"""The members of a format beside its type."""
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas",
                    "dependencies"})  # fmt: skip
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
_SINGLE = frozenset({"items", "additionalItems", "additionalProperties", "contains", "not", "if",
                     "then", "else", "propertyNames", "unevaluatedItems", "unevaluatedProperties",
                     "contentSchema"})  # fmt: skip
"""Keywords whose values are schemas, by name, in a list or single, in all drafts from 4 on."""


class _SlowError(Exception):
    """The time limit has passed."""


def response_format(given: object) -> Mapping[str, object] | None:
    """A `response_format` in OpenAI's form, also if the schema is beside the type, as in OpenAI's
    Responses and text-generation-inference; None if it asks for text.

    Raises UsageError for a format that no answer could be checked against.
    """
    form = {"type": given} if isinstance(given, str) and given else given
    check_json(form, "response_format")
    found = _read(form) if form else None
    if found is None or found["type"] == "json_object":
        return found
    _check(_schema(found))
    inner = found["json_schema"]
    if not isinstance(inner, Mapping) or inner.get("name"):
        return found
    return {**found, "json_schema": {"name": "answer", **inner}}


def _read(form: object) -> Mapping[str, object] | None:
    """None if it asks for text; the schema is always under `json_schema` in the result."""
    if not isinstance(form, Mapping):
        raise UsageError("`response_format` must be an object", "response_format")
    beside = form.get("schema") or form.get("value")
    kind = "json_object" if form.get("type") == "json" else form.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise UsageError(
            f"`response_format.type`: {repr(kind)[:60]} is not supported here; it can be 'text', "
            "'json_object' or 'json_schema'",
            "response_format.type",
            "unsupported_value",
        )
    if kind == "text":
        return None
    if isinstance(beside, Mapping) and not form.get("json_schema"):
        held = {name: value for name, value in form.items() if name in _HELD}
        return {"type": "json_schema", "json_schema": {**held, "schema": beside}}
    return form if form.get("type") == kind else {"type": kind}


def _check(schema: Mapping[str, object] | None) -> None:
    if schema is None:
        raise UsageError(
            "`response_format.json_schema.schema` is missing", "response_format.json_schema"
        )
    if len(json.dumps(schema)) > MAX_SCHEMA_CHARACTERS:
        raise UsageError(
            f"the schema has more than {MAX_SCHEMA_CHARACTERS} characters", "response_format"
        )
    for inner in _schemas(schema):
        for key in _REFERENCES & inner.keys():
            if isinstance(where := inner[key], str) and not where.startswith("#"):
                raise UsageError(
                    f"the schema refers to {where[:80]!r}; only references within it are accepted",
                    "response_format",
                )
    _well_formed(schema)


def _well_formed(schema: Mapping[str, object]) -> None:
    """Raise UsageError if it is not a valid schema of the draft that it names, by default
    2020-12."""
    import jsonschema

    try:
        _draft(schema).check_schema(schema)
    except jsonschema.exceptions.SchemaError as error:
        said = f"{error.json_path}: {error.message[:160]}"
        raise UsageError(f"the schema is not valid: {said}", "response_format") from error
    except RecursionError as error:
        raise UsageError("the schema is nested too deeply", "response_format") from error


def _draft(schema: Mapping[str, object]) -> _Draft:
    """jsonschema's validator for the draft that a schema names."""
    import jsonschema

    draft: _Draft = jsonschema.Draft202012Validator
    if isinstance(schema.get("$schema"), str):
        draft = jsonschema.validators.validator_for(schema, default=draft)
    return draft


async def fault(form: object, text: str) -> str | None:
    """What is wrong with an answer in that format, as a phrase; None if it matches."""
    if not isinstance(form, Mapping) or form.get("type") not in ("json_object", "json_schema"):
        return None
    if form["type"] == "json_object" and len(text) <= QUICK:
        return _fault(form, text)  # sooner parsed than handed to a thread
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads(), _fault, form, text)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="schema")


def _fault(form: Mapping[str, object], text: str) -> str | None:
    try:
        value = json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError) as error:
        return f"no JSON ({str(error)[:80]})"
    if form["type"] == "json_object":
        return None if isinstance(value, dict) else "no JSON object"
    return _validated(_schema(form) or {}, value)


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _validated(schema: Mapping[str, object], value: object) -> str | None:
    import jsonschema
    import referencing

    validator = _timed(cast("Hashable", _draft(schema)))(schema, registry=referencing.Registry())
    _deadline.at = time.monotonic() + CHECK_S
    try:
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    except (_SlowError, RecursionError):
        return None
    except (
        jsonschema.exceptions.SchemaError,
        jsonschema.exceptions.UnknownType,
        referencing.exceptions.Unresolvable,
        ArithmeticError,
        AttributeError,
        TypeError,
    ):
        return None  # an invalid schema was the host's to reject
    return f"{error.json_path}: {error.message[:160]}" if error is not None else None


class _Deadline:
    """When the check running in each thread must end."""

    def __init__(self) -> None:
        import threading

        self._local = threading.local()

    @property
    def at(self) -> float:
        return float(getattr(self._local, "at", 0.0))

    @at.setter
    def at(self, at: float) -> None:
        self._local.at = at


_deadline = _Deadline()


@cache
def _timed(base: Hashable) -> _Draft:
    """A jsonschema validator in which every keyword checks the time."""
    import jsonschema

    checks = cast("_Draft", base).VALIDATORS
    keywords = {name: _watched(check) for name, check in checks.items()}
    keywords |= {"pattern": _pattern, "patternProperties": _pattern_properties}
    timed: _Draft = jsonschema.validators.extend(base, keywords)
    return timed


class _Validator(Protocol):
    """The part of jsonschema's validators that is used here; the library has no type hints."""

    def iter_errors(self, instance: object) -> Iterator[object]: ...

    def descend(
        self, instance: object, schema: object, *, path: object, schema_path: object
    ) -> Iterator[object]: ...


Check = Callable[[_Validator, object, object, object], Iterable[object] | None]


class _Draft(Protocol):
    """A validator class, for one draft of JSON Schema."""

    VALIDATORS: Mapping[str, Check]

    def check_schema(self, schema: Mapping[str, object]) -> None: ...

    def __call__(self, schema: Mapping[str, object], *, registry: object) -> _Validator: ...


def _watched(check: Check) -> Check:
    def watched(
        validator: _Validator, value: object, instance: object, schema: object
    ) -> Iterator[object]:
        if time.monotonic() > _deadline.at:
            raise _SlowError
        yield from check(validator, value, instance, schema) or ()

    return watched


def _pattern(_: _Validator, pattern: object, instance: object, __: object) -> Iterator[object]:
    import jsonschema

    if isinstance(instance, str) and not _found(str(pattern), instance):
        yield jsonschema.ValidationError(f"does not match {str(pattern)[:60]!r}")


def _pattern_properties(
    validator: _Validator, patterns: object, instance: object, _: object
) -> Iterator[object]:
    if isinstance(instance, dict) and isinstance(patterns, dict):
        for pattern, schema in patterns.items():
            for name, value in instance.items():
                if _found(str(pattern), name):
                    yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _found(pattern: str, text: str) -> bool:
    """Whether the pattern is in the text; an invalid or too slow pattern counts as found."""
    try:
        return regex.search(pattern, text, timeout=PATTERN_S, concurrent=True) is not None
    except (regex.error, TimeoutError):
        return True


def _schema(form: Mapping[str, object]) -> Mapping[str, object] | None:
    inner = form.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


def _schemas(schema: object) -> Iterator[Mapping[str, object]]:
    """The schema and all its subschemas. Names of properties, examples, constants and defaults are
    the caller's data, whatever they look like."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    for keyword, value in schema.items():
        if keyword in _NAMED and isinstance(value, Mapping):
            inner: Iterable[object] = value.values()
        elif keyword in _LISTS and isinstance(value, list):
            inner = value
        else:
            inner = [value] if keyword in _SINGLE else ()
        for one in inner:
            yield from _schemas(one)

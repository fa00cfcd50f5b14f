"""Translates requests of other dialects into a chat completion's request.

A dialect's module turns its body into a chat body; errors in that are reported under the names and
places of the caller's own body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import ValidationError

from api.errors import RefusedError, invalid, problem_of
from api.parsing import Asked, parse, refusal
from api.wire import Wire
from config.errors import UsageError

Model = TypeVar("Model", bound=Wire)
_NAMED = re.compile(r"`([^`]+)`")
_MESSAGE = re.compile(r"messages\[(\d+)\]")
_HEAD = re.compile(r"[a-z_]+")


@dataclass
class Translation:
    """A chat body under construction."""

    body: dict[str, object]
    names: Mapping[str, str]
    """The caller's names of the chat body's parameters, where they differ."""
    ignored: list[str] = field(default_factory=list)
    """Parts of the request that were left out, for the answer's note."""
    functions: list[dict[str, object]] = field(default_factory=list)
    """The tools that the model may call, in OpenAI's form."""
    messages: list[dict[str, object]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """The place in the caller's body of each message."""

    def say(self, message: dict[str, object], place: str) -> None:
        self.messages.append(message)
        self.places.append(place)

    def asked(self, passes: frozenset[str]) -> Asked:
        """The request; raises RefusedError (400) that names the caller's own invalid parameter.

        `passes`: the non-standard fields that any enabled host accepts.
        """
        body: dict[str, object] = {**self.body, "messages": self.messages}
        if self.functions:
            body["tools"] = [{"type": "function", "function": one} for one in self.functions]
        try:
            asked = parse(body, passes)
        except (RefusedError, UsageError) as error:
            raise self._renamed(error) from None
        return replace(asked, ignored=(*asked.ignored, *self.ignored))

    def _renamed(self, error: RefusedError | UsageError) -> RefusedError:
        problem = problem_of(error)
        message = _NAMED.sub(lambda found: f"`{self._name(found[1])}`", problem.message)
        param = problem.param and self._name(problem.param)
        return RefusedError(replace(problem, message=message, param=param))

    def _name(self, param: str) -> str:
        """A message's parts have other names here, so only its place is given."""
        if (found := _MESSAGE.match(param)) and int(found[1]) < len(self.places):
            return self.places[int(found[1])]
        return _HEAD.sub(lambda head: self.names.get(head[0], head[0]), param, count=1)


def read(model: type[Model], body: dict[str, object]) -> Model:
    """The validated body; raises RefusedError (400) that names the first mistake."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise refusal(error.errors(include_url=False)) from None


def object_at(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise invalid(f"`{place}` must be an object", place, "invalid_value")
    return value


def list_at(value: object, place: str, meant: str = "a list") -> list[Any]:
    if not isinstance(value, list):
        raise invalid(f"`{place}` must be {meant}", place, "invalid_value")
    return value


def parts_at(value: object, place: str) -> list[Any]:
    """The parts of a content, which may be a text too."""
    return list_at(value, place, "a text or a list")


def text_at(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise invalid(f"`{place}` must be a text", place, "invalid_value")
    return value


def unsupported(place: str, given: object) -> RefusedError:
    """400 for a kind that cannot be passed on."""
    message = f"`{place}`: {repr(given)[:60]} is not supported here"
    return invalid(message, place, "unsupported_value")


def data_url(media_type: object, data: object, place: str) -> str:
    """Base64 content of the body as a data URL."""
    kind = text_at(media_type, f"{place}.media_type")
    return f"data:{kind};base64,{text_at(data, f'{place}.data')}"

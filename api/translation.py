"""Requests of other dialects as the one request that the router knows, a chat completion's.

A dialect's module turns its body into a chat body; what is wrong in that is reported under the
names and places of the body that the caller sent.
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
    """A chat body in the making."""

    body: dict[str, object]
    names: Mapping[str, str]
    """The caller's names of the chat body's parameters, where they differ."""
    ignored: list[str] = field(default_factory=list)
    """What of the request was left out, for the answer's note."""
    functions: list[dict[str, object]] = field(default_factory=list)
    """What the model may call, in OpenAI's form."""
    messages: list[dict[str, object]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    """Where in the caller's body each message comes from."""

    def say(self, message: dict[str, object], place: str) -> None:
        self.messages.append(message)
        self.places.append(place)

    def asked(self, passes: frozenset[str]) -> Asked:
        """The request; RefusedError (400) names the caller's own parameter that is wrong.

        `passes`: the fields that any enabled host takes beside OpenAI's.
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
        """A message's own parts have other names here, so its place alone is given."""
        if (found := _MESSAGE.match(param)) and int(found[1]) < len(self.places):
            return self.places[int(found[1])]
        return _HEAD.sub(lambda head: self.names.get(head[0], head[0]), param, count=1)


def read(model: type[Model], body: dict[str, object]) -> Model:
    """The body's checked form; RefusedError (400) names the first thing that is wrong."""
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
    """400 for a kind of something that cannot be passed on."""
    message = f"`{place}`: {repr(given)[:60]} is not supported here"
    return invalid(message, place, "unsupported_value")


def data_url(media_type: object, data: object, place: str) -> str:
    """What stands in the body in base64, as an address."""
    return f"data:{text_at(media_type, place)};base64,{text_at(data, place)}"

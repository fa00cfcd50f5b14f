"""What each event of the page takes, checked before Gradio sees any of it.

An event that comes later has its rule by the kinds of its inputs; a kind that has none yet stops
the page from being built, so that no input can be forgotten.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, get_type_hints

import gradio as gr
from gradio.components.api_component import Api
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from config.errors import UsageError
from graph.asked import MAX_PROMPT_CHARS

MOST_TEXT = 2 * MAX_PROMPT_CHARS
"""Characters of one text. The chat itself says so of a prompt that is somewhat too long."""
MOST_TURNS = 1_000
"""Turns of a conversation that a browser brings back."""
MOST_FILES = 20
"""Files that one event takes."""
FILES = "files"
WISH, MOST_WISH = "wish", 100
"""In an event's data: which part of the page asks, its event, and a number that grows."""

Text = Annotated[str, Field(max_length=MOST_TEXT)]
Said = Text | None | Annotated[list[Text], Field(max_length=MOST_TURNS)]
"""What our own scripts send along with an event."""
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]


@with_config(ConfigDict(extra="ignore"))
class File(TypedDict):
    """What Gradio calls FileData, without an address to load it from."""

    path: Annotated[str, Field(max_length=4096)]
    orig_name: NotRequired[Annotated[str, Field(max_length=255)] | None]


@with_config(ConfigDict(extra="ignore"))
class Place(TypedDict):
    """Where in the chat something was clicked; `liked` is "" when it is taken back."""

    index: Whole | Annotated[list[Whole], Field(min_length=1, max_length=2)]
    liked: NotRequired[bool | Annotated[str, Field(max_length=20)]]


Rule = tuple[TypeAdapter[Any], str]
"""What is taken, and its name in a sentence."""

_PLACE: TypeAdapter[Any] = TypeAdapter(Place)
_BY_HINT: dict[Any, Rule] = {
    str: (TypeAdapter(Text), "a text"),
    str | None: (TypeAdapter(Text | None), "a text or null"),
    int: (TypeAdapter(Whole), "a whole number"),
    bool | None: (TypeAdapter(bool | None), "true, false or null"),
}
"""By the annotation of a named endpoint's parameter."""

_FILES: TypeAdapter[list[File]] = TypeAdapter(Annotated[list[File], Field(max_length=MOST_FILES)])
_BY_KIND: dict[type, Rule] = {
    gr.Textbox: _BY_HINT[str | None],
    gr.Dropdown: _BY_HINT[str | None],
    gr.State: (TypeAdapter(None), "null: the service keeps it"),
    gr.UploadButton: (_FILES, f"a list of at most {MOST_FILES} files"),
}
"""By the component that an event reads."""

_BY_EVENT: dict[Any, TypeAdapter[Any]] = {
    gr.EventData: TypeAdapter(Annotated[dict[Text, Said], Field(max_length=20)] | None),
    gr.LikeData: _PLACE,
    gr.RetryData: _PLACE,
    gr.SelectData: _PLACE,
}
"""By the event data that a handler asks for."""


@dataclass(frozen=True, slots=True)
class Input:
    """One argument of an event; `default` is `inspect.Parameter.empty` where it is required."""

    name: str
    rule: TypeAdapter[Any]
    words: str
    default: object

    def check(self, given: object) -> Any:
        try:
            return self.rule.validate_python(given, strict=True)
        except ValidationError as error:
            raise UsageError(_sentence(f"`{self.name}`", self.words, error), self.name) from None


@dataclass(frozen=True, slots=True)
class Event:
    """What one event takes: its arguments in order, and data about what happened on the page."""

    name: str
    public: bool
    inputs: tuple[Input, ...]
    happened: TypeAdapter[Any] | None

    def arguments(self, given: object, holds: Callable[[str], bool]) -> list[object]:
        """The arguments as Gradio may have them; `holds` says which files are this session's.

        Raises UsageError for anything else.
        """
        if not isinstance(given, list):
            raise UsageError("`data` must be a list of the arguments", "data")
        if len(given) > len(self.inputs):
            raise UsageError(f"{self._takes()}, not {len(given)}", "data")
        padded = [*given, *(one.default for one in self.inputs[len(given) :])]
        return self._checked(padded, holds)

    def named(self, given: Mapping[str, object], holds: Callable[[str], bool]) -> dict[str, object]:
        """Likewise by name."""
        names = {one.name for one in self.inputs}
        if unknown := next((name for name in given if name not in names), None):
            raise UsageError(f"`{unknown[:80]}` is no argument: {self._takes()}", "data")
        found = [given.get(one.name, one.default) for one in self.inputs]
        checked = self._checked(found, holds)
        return {one.name: value for one, value in zip(self.inputs, checked, strict=True)}

    def data(self, given: object) -> object:
        """What happened on the page, as the handler reads it; where it does not ask, only by which
        wish the page will know the reply."""
        if self.happened is None:
            wish = given.get(WISH) if isinstance(given, dict) else None
            return {WISH: wish[:MOST_WISH]} if isinstance(wish, str) else None
        try:
            found = self.happened.validate_python(given, strict=True)
        except ValidationError as error:
            raise UsageError(_sentence("`event_data`", "what the page sends", error)) from None
        return found | {"value": None} if self.happened is _PLACE else found

    def _checked(self, given: list[object], holds: Callable[[str], bool]) -> list[object]:
        found = []
        for one, value in zip(self.inputs, given, strict=True):
            if value is inspect.Parameter.empty:
                raise UsageError(f"`{one.name}` is missing: {self._takes()}", one.name)
            checked = one.check(value)
            found.append(_held(checked, holds) if one.rule is _FILES else checked)
        return found

    def _takes(self) -> str:
        names = ", ".join(f"`{one.name}`" for one in self.inputs) or "nothing"
        return f"{self.name} takes {names}"


def events_of(page: gr.Blocks) -> dict[int, Event]:
    """Each event and named endpoint of the page by its number, but what runs in browsers alone."""
    return {number: _event(fn) for number, fn in page.fns.items() if fn.fn is not None}


def _event(fn: Any) -> Event:
    own = inspect.unwrap(fn.fn)
    hints = get_type_hints(own)
    parameters = list(inspect.signature(own).parameters.values())
    inputs = tuple(_input(n, block, parameters, hints) for n, block in enumerate(fn.inputs))
    happened = [_BY_EVENT[h] for h in hints.values() if _is_event(h)]
    public = fn.api_visibility == "public"
    return Event(str(fn.api_name), public, inputs, happened[0] if happened else None)


def _is_event(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, gr.EventData)


def _input(n: int, block: Any, parameters: list[inspect.Parameter], hints: Any) -> Input:
    name = parameters[n].name
    if isinstance(block, Api):
        return Input(name, *_BY_HINT[hints[name]], parameters[n].default)
    return Input(name, *_BY_KIND[type(block)], inspect.Parameter.empty)


def _held(files: list[File], holds: Callable[[str], bool]) -> list[dict[str, object]]:
    if not all(holds(file["path"]) for file in files):
        raise UsageError("these files were not uploaded in this session; upload them first", FILES)
    meta = {"_type": "gradio.FileData"}
    return [{"path": f["path"], "orig_name": f.get("orig_name"), "meta": meta} for f in files]


def _sentence(what: str, words: str, error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    match first["type"]:
        case "string_too_long":
            return f"{what} is longer than {first['ctx']['max_length']} characters"
        case "string_unicode":
            return f"{what} holds half a character (a lone surrogate)"
        case _:
            return f"{what} must be {words}"

"""Assembles streamed tool calls into unambiguous fragments.

A host identifies by `index` which call a fragment belongs to, but some give each call the index 0
or none, some no id, some repeat earlier fragments. The result has one index and one id for each
call, in its first fragment, together with its name.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from providers.base import ToolCallDelta
from providers.chunk import NOT_JSON, parsed

MOST_CALLS = 1000
"""Maximum number of calls in one answer; a host that sends more is not calling tools."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A fragment of one call as the host sent it."""

    index: int | None
    id: str
    name: str
    arguments: str


@dataclass(slots=True, eq=False)
class _Call:
    """One call as far as it is known; `sent_id` is the host's own, `id` the one that callers
    see."""

    index: int
    id: str
    sent_id: str
    name: str = ""
    parts: list[str] = field(default_factory=list)
    length: int = 0
    shown: bool = False

    @property
    def arguments(self) -> str:
        return "".join(self.parts)

    @property
    def whole(self) -> bool:
        """Its arguments are a complete JSON object, which more text would invalidate."""
        return bool(self.parts) and self.parts[-1].rstrip()[-1:] == "}" and is_json(self.arguments)

    def add(self, arguments: str) -> None:
        if arguments:
            self.parts.append(arguments)
            self.length += len(arguments)

    def repeated(self, arguments: str) -> bool:
        """Whether this repeats all of its arguments."""
        return len(arguments) == self.length and arguments == self.arguments and self.whole


class ToolCalls:
    """The calls of one answer; `read` returns the new fragments."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._at: dict[int, _Call] = {}
        """For each of the host's indexes, or positions in its list, the call opened there last."""

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def whole(self) -> bool:
        """Whether all calls have complete arguments."""
        return all(is_json(call.arguments) for call in self._calls)

    @property
    def unnamed(self) -> bool:
        """Whether a call has no name, so that it cannot be executed."""
        return not all(call.name for call in self._calls)

    def read(
        self, message: Mapping[str, object], *, grown: bool = False
    ) -> tuple[ToolCallDelta, ...]:
        """The new fragments in a delta or, if `grown`, in a message that repeats what came before.

        One of the older `function_call` is a call as well.
        """
        pieces = _pieces(message)
        several = len(pieces) > 1
        found = (self._add(piece, at, several, grown) for at, piece in enumerate(pieces) if piece)
        return tuple(delta for delta in found if delta is not None)

    def rest(self) -> tuple[ToolCallDelta, ...]:
        """At the end: the arguments of calls without any, as OpenAI writes them."""
        bare = [call for call in self._calls if call.shown and not call.length]
        for call in bare:
            call.add("{}")
        return tuple(ToolCallDelta(call.index, arguments="{}") for call in bare)

    def _add(self, piece: _Piece, at: int, several: bool, grown: bool) -> ToolCallDelta | None:
        call = self._of(piece, at, several) or self._open(piece, at)
        arguments = piece.arguments
        if grown and arguments.startswith(call.arguments):
            arguments = arguments[call.length :]
        elif call.repeated(arguments):
            arguments = ""
        call.name = call.name or piece.name
        call.add(arguments)
        if not call.name:
            return None  # kept until the name is known
        if not call.shown:
            call.shown = True
            return ToolCallDelta(call.index, call.id, call.name, call.arguments)
        return ToolCallDelta(call.index, arguments=arguments) if arguments else None

    def _of(self, piece: _Piece, at: int, several: bool) -> _Call | None:
        """The call that the fragment continues; None for a new one."""
        place = at if piece.index is None else piece.index
        call = self._at.get(place)
        known = next((c for c in self._calls if piece.id and c.sent_id == piece.id), None)
        if known is not None and (piece.index is None or known is call or not piece.name):
            return known
        if piece.index is None and not (several or piece.id or piece.name):
            return self._calls[-1] if self._calls else None
        return None if call is None or _is_another(call, piece) else call

    def _open(self, piece: _Piece, at: int) -> _Call:
        place = at if piece.index is None else piece.index
        taken = {call.index for call in self._calls}
        index = place if place not in taken else max(taken) + 1
        used = {call.id for call in self._calls}
        call_id = piece.id if piece.id and piece.id not in used else f"call_{uuid.uuid4().hex[:24]}"
        call = _Call(index, call_id, piece.id)
        self._calls.append(call)
        self._at[place] = call
        return call


def _is_another(call: _Call, piece: _Piece) -> bool:
    """Whether a fragment at the position of a call begins the next one.

    A new id alone does not: some hosts generate one for each fragment.
    """
    if not piece.name or not call.name:
        return False
    if piece.name != call.name:
        return True
    renamed = bool(piece.id and call.sent_id) and piece.id != call.sent_id
    if not call.length:
        return renamed and not piece.arguments
    return call.whole and (
        renamed or (bool(piece.arguments) and not call.repeated(piece.arguments))
    )


def _pieces(message: Mapping[str, object]) -> list[_Piece | None]:
    calls = message.get("tool_calls")
    if isinstance(calls, dict):
        calls = [calls]
    if not isinstance(calls, list) or not calls:
        older = message.get("function_call")
        calls = [{"function": older}] if isinstance(older, dict) else []
    return [_piece(call) for call in calls]


def _piece(call: object) -> _Piece | None:
    """None for a fragment without content."""
    if not isinstance(call, dict):
        return None
    function = call.get("function")
    function = function if isinstance(function, dict) else call
    index, arguments = call.get("index"), function.get("arguments")
    if isinstance(arguments, dict | list):
        arguments = json.dumps(arguments)
    usable = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < MOST_CALLS
    piece = _Piece(
        index if usable else None,
        _word(call.get("id")),
        _word(function.get("name")).strip(),
        _word(arguments),
    )
    return piece if piece.id or piece.name or piece.arguments else None


def _word(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def is_json(arguments: str) -> bool:
    """Empty, or a complete JSON value."""
    return not arguments or parsed(arguments.encode("utf-8", "surrogatepass")) is not NOT_JSON

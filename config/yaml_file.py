"""A YAML file as plain values, with the line of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from config.errors import ConfigError

Loc = tuple[int | str, ...]
"""The path from the root to a value: mapping keys and list indices."""

MOST_DEPTH = 40
MOST_VALUES = 200_000

_KEYS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
_Base: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """A safe loader that keeps dates as text: `added: 2026-10-01` stays a string."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}


class YamlFile:
    """`data` is the root mapping; `duplicates` are the places of repeated keys.

    Raises ConfigError if the file is missing, unreadable, broken YAML or not a mapping.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.duplicates: list[tuple[int, str, int]] = []
        """(line, key, line of its first use)."""
        self._lines: dict[Loc, int] = {}
        self.data: dict[str, object] = {}
        self._read()

    def _read(self) -> None:
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise ConfigError(
                f"{self.path}: the file is missing; restore it or choose another folder with"
                " --config"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"{self.path}: cannot be read ({reason})") from None
        loader = _Loader(text)
        try:
            self._check_size(text)
            node = loader.get_single_node()
            data = None if node is None else loader.construct_document(node)
            json.dumps(data)
        except yaml.MarkedYAMLError as error:
            raise ConfigError(f"{self.path}:{_broken(error)}") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            first = str(error).splitlines()[0]
            raise ConfigError(f"{self.path}: is not valid YAML ({first}); correct it") from None
        except (LookupError, AttributeError):  # raised by PyYAML for `!!bool maybe` or `!!int ""`
            raise ConfigError(
                f"{self.path}: is not valid YAML (a value is not what its tag `!!…` says);"
                " correct it"
            ) from None
        except TypeError:
            raise ConfigError(
                f"{self.path}: may contain only text, numbers, lists and maps"
            ) from None
        finally:
            loader.dispose()
        if not isinstance(data, dict):
            raise ConfigError(f"{self.path}:1: must be a mapping of `key: value` lines")
        self.data = data
        self._walk(node, ())

    def _check_size(self, text: str) -> None:
        """Reject oversized documents while reading the event stream, before anything is built: an
        alias multiplies what it refers to, and nesting uses the stack."""
        depth, sizes, open_anchors = 0, {}, []
        total = 0
        for event in yaml.parse(text, _Loader):
            total += 1
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                open_anchors.append((event.anchor, total))
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
                anchor, begun = open_anchors.pop()
                if anchor is not None:
                    sizes[anchor] = total - begun
            elif isinstance(event, yaml.AliasEvent):
                total += sizes.get(event.anchor or "", 0)
            if depth > MOST_DEPTH or total > MOST_VALUES:
                line = event.start_mark.line + 1 if event.start_mark else 1
                what = f"is nested more than {MOST_DEPTH} levels deep"
                if depth <= MOST_DEPTH:
                    what = f"has more than {MOST_VALUES} values once its aliases are written out"
                raise ConfigError(f"{self.path}:{line}: {what}; write it more simply")

    def _walk(self, node: yaml.Node, loc: Loc) -> None:
        self._lines.setdefault(loc, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._walk(item, (*loc, index))
        elif isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                if key.tag not in _KEYS:
                    raise ConfigError(
                        f"{self.path}:{line}: the key {name} is not read as text; put it in quotes"
                    )
                if name in seen and name != "<<":
                    self.duplicates.append((line, self.describe((*loc, name)), seen[name]))
                seen.setdefault(name, line)
                self._lines.setdefault((*loc, name), line)
                self._walk(value, (*loc, name))

    def line(self, loc: Loc) -> int:
        """The line (from 1) of a value, or of its nearest enclosing value that exists."""
        return self._lines[self.existing(loc)]

    def existing(self, loc: Loc) -> Loc:
        """The longest prefix of `loc` that exists in the file."""
        while loc not in self._lines:
            loc = loc[:-1]
        return loc

    def describe(self, loc: Loc) -> str:
        """`providers.llama-70b.cost.input`: list entries go by their `name` if they have one."""
        words: list[str] = []
        value: object = self.data
        for part in loc:
            value = _within(value, part)
            name = value.get("name") if isinstance(part, int) and isinstance(value, dict) else None
            if isinstance(part, int) and not isinstance(name, str):
                words[-1:] = [f"{words[-1] if words else ''}[{part}]"]
            else:
                words.append(str(name if isinstance(part, int) else part))
        return ".".join(words)

    def leaves(self) -> frozenset[str]:
        """The dotted keys of everything the file sets, sections included."""
        return frozenset(self.describe(loc) for loc in self._lines if loc)

    @staticmethod
    def as_json(data: object) -> str:
        return json.dumps(data)


def _broken(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    column = f" at column {mark.column + 1}" if mark else ""
    problem = " ".join((error.problem or error.context or "it cannot be read").split())
    begun = error.context_mark.line + 1 if error.context_mark else line
    within = f" in what begins on line {begun}" if begun != line else ""
    return (
        f"{line}: broken YAML{column}{within}: {problem}; check indentation, colons, quotes and"
        " brackets here and on the line above"
    )


def _within(value: object, part: str | int) -> object:
    """A member or an entry; None if there is none."""
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
        return value[part]
    return None

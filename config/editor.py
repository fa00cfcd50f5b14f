"""Every change the application makes to its own configuration; each can be undone."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any, cast

from config.catalogue import CATALOGUE_FILE
from config.errors import AlreadyThereError, NotFoundError
from config.journal import Change
from config.probe_sets import PROBES_FILE
from config.writer import PROVIDERS, Edit, Entries, Step, Writer
from config.yaml_file import YamlFile
from config.yaml_splice import insert_item, remove_item, set_key


def providers_in(config_dir: Path) -> list[dict[str, object]]:
    """The provider entries currently in the file. Raises ConfigError as the loader does."""
    entries = YamlFile(config_dir / PROVIDERS).data.get("providers")
    return list(entries) if isinstance(entries, list) else []


def append_provider(
    config_dir: Path,
    data_dir: Path,
    entry: Mapping[str, object],
    categories: Mapping[str, int | None],
    note: str,
    *,
    step: Step = lambda _: None,
) -> Change:
    """Add a provider, and insert its name into each category's order at the given position (None:
    last).

    Raises AlreadyThereError if a provider of that name exists, ConfigError if the file cannot be
    changed or the result would be invalid; in both cases the file is untouched.
    """
    name = str(entry["name"])

    def edit(text: str, data: Entries) -> str:
        if any(one["name"] == name for one in data["providers"]):
            raise AlreadyThereError(
                f"`{name}` is in {config_dir / PROVIDERS} already: another process appended it"
                " meanwhile, and nothing was changed"
            )
        text = insert_item(text, ("providers",), dict(entry))
        data["providers"].append(copy.deepcopy(dict(entry)))
        for category, position in categories.items():
            text = insert_item(text, ("priorities", category), name, position)
            order = data["priorities"][category]
            order.insert(len(order) if position is None else position, name)
        return text

    return Writer(config_dir, data_dir, step).change("append", name, note, edit)


@dataclass(frozen=True, slots=True)
class NewModel:
    """A model that a person adds: its entry, and its host where that is new too."""

    entry: Mapping[str, object]
    host: Mapping[str, object] | None
    first: bool
    """Whether it becomes the first of every category's order, or the last."""

    def edit(self, text: str, data: Entries) -> str:
        name, place = str(self.entry["name"]), str(self.entry["host"])
        if any(one["name"] == name for one in data["providers"]):
            raise AlreadyThereError(f"there is a model named `{name}` already: choose another name")
        if self.host is not None:
            if place in data["hosts"]:
                raise AlreadyThereError(f"there is a host named `{place}` already")
            text = set_key(text, ("hosts",), place, dict(self.host))
            data["hosts"][place] = dict(self.host)
        text = insert_item(text, ("providers",), dict(self.entry))
        data["providers"].append(copy.deepcopy(dict(self.entry)))
        for category, order in data["priorities"].items():
            index = 0 if self.first else len(order)
            text = insert_item(text, ("priorities", category), name, index)
            order.insert(index, name)
        return text


def remove_provider(
    config_dir: Path, data_dir: Path, name: str, note: str, *, step: Step = lambda _: None
) -> Change:
    """Remove a provider from the file and from every category's order.

    Raises NotFoundError if it no longer exists, ConfigError as `append_provider` does.
    """

    def edit(text: str, data: Entries) -> str:
        index = _index(data, name)
        text = remove_item(text, ("providers",), index)
        del data["providers"][index]
        for category, order in data["priorities"].items():
            while name in order:
                text = remove_item(text, ("priorities", category), order.index(name))
                order.remove(name)
        return text

    return Writer(config_dir, data_dir, step).change("remove", name, note, edit)


def set_trial(
    config_dir: Path,
    data_dir: Path,
    name: str,
    share: float | None,
    note: str,
    *,
    step: Step = lambda _: None,
) -> Change:
    """Set a provider's trial share of the traffic; None ends the trial.

    Raises NotFoundError if it no longer exists, ConfigError as `append_provider` does.
    """
    trial = None if share is None else {"share": share}

    def edit(text: str, data: Entries) -> str:
        index = _index(data, name)
        text = set_key(text, ("providers", index), "trial", trial)
        data["providers"][index].pop("trial", None)
        if trial is not None:
            data["providers"][index]["trial"] = trial
        return text

    return Writer(config_dir, data_dir, step).change("trial", name, note, edit)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Set `key` of the mapping at `path` to `value`; None removes the key.

    In providers.yaml a provider's path starts with `providers` and its name.
    """

    path: tuple[str | int, ...]
    key: str
    value: object


def refresh(
    config_dir: Path,
    data_dir: Path,
    file: str,
    assignments: Sequence[Assignment],
    note: str,
    *,
    step: Step = lambda _: None,
) -> Change:
    """Write newer facts into `providers.yaml` or `catalogue.yaml` as a single change.

    Raises NotFoundError if a provider no longer exists, ConfigError as `append_provider` does.
    """

    writer = Writer(config_dir, data_dir, step, file)
    return writer.change("refresh", file, note, _assigning(assignments))


Wanted = Assignment | NewModel
"""What a person changes: one value (a list is reordered item by item), or a model that is added."""


def make(
    config_dir: Path,
    data_dir: Path,
    one: Wanted,
    note: str,
    *,
    step: Step = lambda _: None,
) -> Change:
    """Change `providers.yaml` for a person.

    Raises NotFoundError when a provider is not there any more, AlreadyThereError when a new one is,
    ConfigError as `append_provider`.
    """
    writer = Writer(config_dir, data_dir, step)
    if isinstance(one, NewModel):
        return writer.change("append", str(one.entry["name"]), note, one.edit)
    subject = ".".join(str(part) for part in (*one.path, one.key))
    return writer.change("set", subject, note, _assigning([one]))


def difference(config_dir: Path, data_dir: Path, one: Wanted) -> list[str]:
    """What `make` would change, as lines of a unified diff; raises as it does."""
    edit = one.edit if isinstance(one, NewModel) else _assigning([one])
    before, after = Writer(config_dir, data_dir, lambda _: None).preview(edit)
    lines = unified_diff(
        before.splitlines(), after.splitlines(), PROVIDERS, PROVIDERS, "", "", 2, ""
    )
    return list(lines)[2:]  # the names of both files are the same


def _assigning(assignments: Sequence[Assignment]) -> Edit:
    def edit(text: str, data: Entries) -> str:
        for one in assignments:
            text = _assign(text, data, one)
            if one.path[0] == "hosts" and data["hosts"][str(one.path[1])].get("api_key_env"):
                # The key was given for the host as it was.
                text = _assign(text, data, Assignment(one.path[:2], "bound_key", True))
        return text

    return edit


def _assign(text: str, data: Entries, one: Assignment) -> str:
    path, place = one.path, cast("Any", data)
    if path[0] == "providers":
        path = ("providers", _index(data, str(path[1])), *path[2:])
    if len(path) == 1 and path[0] not in place:
        place[path[0]] = {one.key: copy.deepcopy(one.value)}
        return set_key(text, (), str(path[0]), place[path[0]])
    for part in path:
        place = place[part]
    if isinstance(one.value, list) and isinstance(place.get(one.key), list):
        return _reorder(text, (*path, one.key), place[one.key], one.value)
    place.pop(one.key, None)
    if one.value is not None:
        place[one.key] = copy.deepcopy(one.value)
    return set_key(text, path, one.key, one.value)


def _reorder(
    text: str, path: tuple[str | int, ...], items: list[object], wanted: Sequence[object]
) -> str:
    """Move, add and take out items until they are as wanted; what stays keeps its comments."""
    for index in reversed(range(len(items))):
        if items[index] not in wanted:
            text = remove_item(text, path, index)
            del items[index]
    for index, item in enumerate(wanted):
        if items[index : index + 1] == [item]:
            continue
        if item in items:
            text = remove_item(text, path, items.index(item))
            items.remove(item)
        text = insert_item(text, path, item, index)
        items.insert(index, item)
    return text


FILES = (PROVIDERS, CATALOGUE_FILE, PROBES_FILE)


def undo(config_dir: Path, data_dir: Path, *, step: Step = lambda _: None) -> str:
    """Undo the application's last change; returns one sentence that says what was undone.

    Raises ConfigError if there is no change, or if the file was edited by hand since.
    """
    writers = [Writer(config_dir, data_dir, step, file) for file in FILES]
    return max(writers, key=lambda writer: writer.latest()).undo()


def _index(data: Entries, name: str) -> int:
    for index, provider in enumerate(data["providers"]):
        if provider["name"] == name:
            return index
    raise NotFoundError(f"providers.yaml: there is no provider `{name}`")

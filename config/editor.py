"""The only changes of its configuration that the application makes; each can be taken back."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.catalogue import CATALOGUE_FILE
from config.errors import AlreadyThereError, NotFoundError
from config.journal import Change
from config.writer import PROVIDERS, Entries, Step, Writer
from config.yaml_file import YamlFile
from config.yaml_splice import insert_item, remove_item, set_key


def providers_in(config_dir: Path) -> list[dict[str, object]]:
    """The providers' entries as the file has them now. Raises ConfigError as the loader does."""
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
    """Add a provider, and its name to each category's order at that position (None: last).

    Raises AlreadyThereError when a provider of that name is in, ConfigError when the file cannot be
    changed or would not be valid; it is untouched then.
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


def remove_provider(
    config_dir: Path, data_dir: Path, name: str, note: str, *, step: Step = lambda _: None
) -> Change:
    """Take a provider out of the file and out of every category's order.

    Raises NotFoundError when it is not there any more, ConfigError as `append_provider` does.
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
    """Set a provider's share of traffic on trial; None ends the trial: it is trusted now.

    Raises NotFoundError when it is not there any more, ConfigError as `append_provider` does.
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
    """`key` of the mapping at `path` becomes `value`; None takes it away.

    In providers.yaml a provider's path begins with `providers` and its name.
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
    """Write newer facts into `providers.yaml` or `catalogue.yaml`, as one change.

    Raises NotFoundError when a provider is not there any more, ConfigError as `append_provider`.
    """

    def edit(text: str, data: Entries) -> str:
        for one in assignments:
            path = one.path
            if path[0] == "providers":
                path = ("providers", _index(data, str(path[1])), *path[2:])
            text = set_key(text, path, one.key, one.value)
            place: Any = data
            for part in path:
                place = place[part]
            place.pop(one.key, None)
            if one.value is not None:
                place[one.key] = copy.deepcopy(one.value)
        return text

    return Writer(config_dir, data_dir, step, file).change("refresh", file, note, edit)


def undo(config_dir: Path, data_dir: Path, *, step: Step = lambda _: None) -> str:
    """Take back the last change that the application made; returns what was done, in a sentence.

    Raises ConfigError when there is none, or when the file was edited by hand since.
    """
    writers = [Writer(config_dir, data_dir, step, file) for file in (PROVIDERS, CATALOGUE_FILE)]
    return max(writers, key=lambda writer: writer.latest()).undo()


def _index(data: Entries, name: str) -> int:
    for index, provider in enumerate(data["providers"]):
        if provider["name"] == name:
            return index
    raise NotFoundError(f"providers.yaml: there is no provider `{name}`")

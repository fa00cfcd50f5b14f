"""Checks that types cannot express: references to unknown names, and forbidden keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from config.environment import wrong_base_url
from config.hosts import Host, Provider
from config.mistakes import Mistake, nearest
from config.models import Limits
from config.yaml_file import Loc, YamlFile

_SECRET_KEYS = {"key", "api_key", "apikey", "token", "secret", "password", "bearer"}
_RESOLVED = {"hosts": {"url", "key", "disabled"}, "providers": {"resolved_model", "disabled"}}
_KEY_IN_FILE = (
    "is written in the file: remove it, put the key into .env and name its variable in"
    " `api_key_env`"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FRAMING = {"content-length", "transfer-encoding"}
ORDERS = ("floor", "nitro")
"""After `auto:`, the cheapest and the fastest first; see `race.wishes`."""
_RESERVED = re.compile(r"auto(:.*)?|passages")


def _at(file: YamlFile, loc: Loc, text: str) -> Mistake:
    return Mistake(file.path, file.line(loc), f"`{file.describe(loc)}` {text}")


def duplicate_keys(file: YamlFile) -> Iterator[Mistake]:
    for line, key, first in file.duplicates:
        text = f"`{key}` appears here and on line {first}: keep one of them"
        yield Mistake(file.path, line, text)


def foreign_keys(file: YamlFile) -> Iterator[Mistake]:
    """Reject keys that must never be written: secrets, and fields that the loader fills."""
    for section, resolved in _RESOLVED.items():
        entries = file.data.get(section)
        pairs = (
            entries.items()
            if isinstance(entries, dict)
            else enumerate(entries if isinstance(entries, list) else ())
        )
        for place, entry in pairs:
            for key in entry if isinstance(entry, dict) else ():
                loc = (section, place, key)
                if key.lower() in _SECRET_KEYS:
                    yield _at(file, loc, _KEY_IN_FILE)
                elif key in resolved:
                    yield _at(
                        file, loc, "is not a key of this file: remove it, or comment the entry out"
                    )


def hosts(file: YamlFile, found: dict[str, Host]) -> Iterator[Mistake]:
    for name, host in found.items():
        loc = ("hosts", name)
        if host.kind != "openai":
            for key in ("base_url", "base_url_env", "api_key_env"):
                if getattr(host, key) is not None:
                    yield _at(file, (*loc, key), f"has no meaning for kind {host.kind}: remove it")
            continue
        if host.base_url is None and host.base_url_env is None:
            yield _at(file, loc, "has no address: add `base_url` or `base_url_env`")
        if host.base_url is not None and (wrong := wrong_base_url(host.base_url)):
            yield _at(file, (*loc, "base_url"), wrong)
        for key in ("base_url_env", "api_key_env"):
            value = getattr(host, key)
            if value is not None and not _VARIABLE.fullmatch(value):
                yield _at(file, (*loc, key), "must name a variable, such as GROQ_API_KEY")
        for header in host.headers:
            if header.lower() in {"authorization", "x-api-key", "api-key"}:
                yield _at(file, (*loc, "headers", header), _KEY_IN_FILE)
            elif wrong := _wrong_header(header, host.headers[header]):
                yield _at(file, (*loc, "headers", header), wrong)


def _wrong_header(name: str, value: str) -> str | None:
    if not _HEADER.fullmatch(name):
        return "is not a header's name: use letters, digits and -"
    if name.lower() in _FRAMING:
        return "is set for each request by itself: remove it"
    if not (value.isascii() and value.isprintable()):
        return "must be one line of plain ASCII characters"
    return None


def providers(
    file: YamlFile, found: tuple[Provider, ...], known_hosts: dict[str, Host]
) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for index, provider in enumerate(found):
        loc = ("providers", index)
        line = file.line((*loc, "name"))
        if provider.name in seen:
            text = (
                f"`providers` has `{provider.name}` twice, here and on line {seen[provider.name]}:"
                " give one of them another name"
            )
            yield Mistake(file.path, line, text)
        seen.setdefault(provider.name, line)
        if _RESERVED.fullmatch(provider.name):
            yield _at(file, (*loc, "name"), "is reserved by the router: choose another name")
        host = known_hosts.get(provider.host)
        if host is None:
            text = (
                f"names the unknown host `{provider.host}`: {nearest(provider.host, known_hosts)}"
            )
            yield _at(file, (*loc, "host"), text)
        elif provider.simulation is not None and host.kind != "simulated":
            text = f"is only for hosts of kind simulated, and `{provider.host}` is {host.kind}"
            yield _at(file, (*loc, "simulation"), f"{text}: remove it")
        if provider.model_env is not None and not _VARIABLE.fullmatch(provider.model_env):
            yield _at(file, (*loc, "model_env"), "must name a variable, such as LLAMA_MODEL")


def priorities(
    file: YamlFile, lines: dict[str, tuple[str, ...]], names: set[str], categories: YamlFile
) -> Iterator[Mistake]:
    for category, order in lines.items():
        loc = ("priorities", category)
        if category not in categories.data:
            text = f"is not a category of {categories.path.name}: "
            yield _at(file, loc, text + nearest(category, categories.data))
        if not order:
            yield _at(file, loc, "is empty: name at least one provider")
        for index, name in enumerate(order):
            if name not in names:
                text = f"names the unknown provider `{name}`: {nearest(name, names)}"
                yield Mistake(
                    file.path, file.line((*loc, index)), f"`priorities.{category}` {text}"
                )
            elif name in order[:index]:
                text = f"names `{name}` twice: keep one of them"
                yield Mistake(
                    file.path, file.line((*loc, index)), f"`priorities.{category}` {text}"
                )
    for category in categories.data:
        if category not in lines:
            text = (
                f"has no line under `priorities` in {file.path.name}: add `{category}: [...]` there"
            )
            yield _at(categories, (category,), text)
        if category in Limits.model_fields:
            yield _at(categories, (category,), "is the name of a limit: choose another")
        if category in ORDERS:
            text = f"would stand for `auto:{category}`, which is an order of prices or speeds"
            yield _at(categories, (category,), f"{text}: choose another name")


def named_elsewhere(
    file: YamlFile, data: Mapping[str, object], names: set[str], categories: YamlFile
) -> Iterator[Mistake]:
    """Check the providers and categories named under fallback, classifier, budget and limits."""
    fallback = str(_section(data, "fallback")["provider"])
    if fallback not in names:
        text = f"names the unknown provider `{fallback}`: {nearest(fallback, names)}"
        yield _at(file, ("fallback", "provider"), text)
    for place in (("classifier", "ask"), ("judge", "provider")):
        asked = _section(data, place[0]).get(place[1])
        if asked is not None and asked not in names:
            text = f"names the unknown provider `{asked}`: {nearest(str(asked), names)}"
            yield _at(file, place, text)
    for name in _section(_section(data, "budget"), "providers"):
        if name not in names:
            yield _at(
                file, ("budget", "providers", name), f"is not a provider: {nearest(name, names)}"
            )
    models = {"auto", *names, *(f"auto:{one}" for one in (*categories.data, *ORDERS))}
    for name, to in _section(data, "aliases").items():
        if to not in models:
            text = f"stands for the unknown model `{to}`: {nearest(str(to), models)}"
            yield _at(file, ("aliases", name), text)
    for key, value in _section(data, "limits").items():
        if isinstance(value, dict) and key not in categories.data:
            yield _at(file, ("limits", key), f"is not a category: {nearest(key, categories.data)}")


def _section(data: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}

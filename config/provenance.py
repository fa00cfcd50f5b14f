"""Every effective value and where it came from, for people to read; keys are never shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from config.hosts import Host, Provider
from config.models import Settings

Source = Literal["default", "providers.yaml", "environment", ".env"]
MASK = "********"
_SECTIONS = (
    "fallback",
    "limits",
    "ranking",
    "breaker",
    "budget",
    "admission",
    "batch",
    "affinity",
    "judge",
    "api",
    "log",
)


@dataclass(frozen=True, slots=True)
class Effective:
    """`value` is ready for display: masked if secret, `not set` if empty."""

    key: str
    value: str
    source: Source
    variable: str | None = None
    """The environment variable that sets the value, or that could."""


def provenance(settings: Settings) -> tuple[Effective, ...]:
    """All settings, in the order of the file, followed by the environment."""
    return (
        *(row for name, host in settings.hosts.items() for row in _host(settings, name, host)),
        *(row for provider in settings.providers for row in _provider(settings, provider)),
        *(
            Effective(f"priorities.{name}", ", ".join(order), "providers.yaml")
            for name, order in settings.priorities.items()
        ),
        *_sections(settings),
        *_environment(settings),
    )


def mask_url(url: str) -> str:
    """The address without its password and query, which may contain one."""
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    masked = f"{name}:{MASK}@{place}" if colon else f"{user}{at}{place}"
    query = f"?{MASK}" if parts.query else ""
    return f"{parts.scheme}://{masked}{parts.path}{query}"


def _written(settings: Settings, key: str) -> Source:
    return "providers.yaml" if key in settings.written else "default"


def _show(value: object) -> str:
    if value is None or value == () or value == {}:
        return "not set"
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_inner(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(_inner(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _inner(value: object) -> str:
    """A nested value: put in brackets if it has several parts."""
    shown = _show(value)
    return f"({shown})" if isinstance(value, dict | list | tuple) and value else shown


def _from(
    settings: Settings, key: str, variable: str, value: object, otherwise: Source = "default"
) -> Effective:
    """A value that comes from an environment variable."""
    shown = MASK if isinstance(value, SecretStr) else _show(value)
    return Effective(key, shown, settings.variables.get(variable, otherwise), variable)


def _host(settings: Settings, name: str, host: Host) -> Iterator[Effective]:
    key = f"hosts.{name}"
    yield Effective(f"{key}.kind", host.kind, _written(settings, f"{key}.kind"))
    if host.base_url_env is not None:
        otherwise = _written(settings, f"{key}.base_url")
        yield _from(settings, f"{key}.base_url", host.base_url_env, host.url, otherwise)
    elif host.base_url is not None:
        yield Effective(f"{key}.base_url", host.base_url, "providers.yaml")
    if host.api_key_env is not None:
        yield _from(settings, f"{key}.key", host.api_key_env, host.key)
    if host.headers:
        yield Effective(f"{key}.headers", ", ".join(host.headers), "providers.yaml")


def _provider(settings: Settings, provider: Provider) -> Iterator[Effective]:
    key = f"providers.{provider.name}"
    model = provider.resolved_model or None
    if provider.model_env is not None:
        yield _from(settings, f"{key}.model", provider.model_env, model)
    else:
        yield Effective(f"{key}.model", _show(model), "providers.yaml")
    for field in type(provider).model_fields:
        value = getattr(provider, field)
        if f"{key}.{field}" in settings.written and field not in ("name", "model", "model_env"):
            yield Effective(f"{key}.{field}", _show(value), "providers.yaml")


def _sections(settings: Settings) -> Iterator[Effective]:
    for section in _SECTIONS:
        values: BaseModel = getattr(settings, section)
        for field in type(values).model_fields:
            key = f"{section}.{field}"
            yield Effective(key, _show(getattr(values, field)), _written(settings, key))
    for category, limits in settings.category_limits.items():
        for field in type(limits).model_fields:
            key = f"limits.{category}.{field}"
            if key in settings.written:
                yield Effective(key, _show(getattr(limits, field)), "providers.yaml")
    source = _written(settings, "content_filter")
    yield Effective("content_filter", settings.content_filter, source)


def _environment(settings: Settings) -> Iterator[Effective]:
    given = settings.environment
    database = mask_url(given.database_url) if given.database_url else "SQLite in the data folder"
    chroma = mask_url(given.chroma_url) if given.chroma_url else "embedded, in the data folder"
    yield _from(settings, "database", "ROUTER_DATABASE_URL", database)
    yield _from(settings, "chroma", "ROUTER_CHROMA_URL", chroma)
    keys = f"{len(given.api_keys)} × {MASK}" if given.api_keys else None
    yield _from(settings, "api_keys", "ROUTER_API_KEYS", keys)
    yield _from(settings, "ui_auth", "ROUTER_UI_AUTH", given.ui_auth)
    for field in ("allowed_hosts", "cors_origins"):
        listed = ", ".join(getattr(given, field)) or None
        yield _from(settings, field, f"ROUTER_{field.upper()}", listed)
    hub = given.hub_endpoint or "https://huggingface.co"
    yield _from(settings, "hub", "HF_ENDPOINT", hub)
    yield _from(settings, "space_id", "SPACE_ID", given.space_id)

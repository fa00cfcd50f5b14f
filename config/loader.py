"""Loads `providers.yaml`, `categories.yaml`, the environment and `.env` into one `Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, TypeAdapter

from config import checks
from config.addresses import bound_variable, withheld
from config.environment import (
    ROUTER_VARIABLES,
    Source,
    Variables,
    router_environment,
    variables,
    wrong_base_url,
)
from config.errors import ConfigError
from config.hosts import Host, Model, Name, Provider, Simulation
from config.mistakes import Mistake, refuse, validate
from config.model_files import model_files
from config.models import (
    Admission,
    Affinity,
    Api,
    Batch,
    Breaker,
    Budget,
    Category,
    Fallback,
    Judge,
    Limits,
    LogSettings,
    Ranking,
    Retention,
    Scout,
    SecondOpinion,
    Settings,
)
from config.redaction import keep_secret
from config.yaml_file import YamlFile

PROVIDERS_FILE = "providers.yaml"
CATEGORIES_FILE = "categories.yaml"


class _ProvidersFile(Model):
    """`providers.yaml` as written, except for the categories' own limits."""

    hosts: dict[Name, Host]
    providers: tuple[Provider, ...]
    priorities: dict[Name, tuple[str, ...]]
    fallback: Fallback
    limits: Limits = Limits()
    ranking: Ranking = Ranking()
    breaker: Breaker = Breaker()
    budget: Budget = Budget()
    admission: Admission = Admission()
    batch: Batch = Batch()
    affinity: Affinity = Affinity()
    judge: Judge = Judge()
    retention: Retention = Retention()
    scout: Scout = Scout()
    content_filter: Literal["propagate", "fallback"] = "propagate"
    api: Api = Api()
    log: LogSettings = LogSettings()
    classifier: SecondOpinion = SecondOpinion()
    aliases: dict[str, str] = Field(default={})


_Categories = TypeAdapter(Annotated[dict[Name, Category], Field(min_length=1)])
_Overrides = TypeAdapter(dict[str, Limits])


def load(
    config_dir: str | Path = "config",
    data_dir: str | Path = "data",
    *,
    environ: Mapping[str, str] | None = None,
    dotenv: str | Path | None = ".env",
) -> Settings:
    """The configuration of a folder, validated as a whole; nothing is created or connected.

    `environ` stands in for `os.environ`; the process environment wins over `dotenv`, and an empty
    value counts as not set. A host or provider whose variables are not set is disabled, with a
    reason. Raises ConfigError: one line that names the file, the line, the key and the fix.
    """
    folder, data = Path(config_dir), Path(data_dir)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such config folder; choose one with --config")
    if data.exists() and not data.is_dir():
        raise ConfigError(f"{data}: is not a folder; choose another with --data")
    model_files.remember_in(data)
    given = variables(environ, dotenv)
    file, categories = YamlFile(folder / PROVIDERS_FILE), YamlFile(folder / CATEGORIES_FILE)
    raw, overrides, kinds = _typed(file, categories)
    hosts = {name: _host(name, host, given) for name, host in raw.hosts.items()}
    return Settings(
        **{name: getattr(raw, name) for name in _ProvidersFile.model_fields}
        | {
            "hosts": hosts,
            "providers": tuple(_provider(p, raw, hosts, given) for p in raw.providers),
        },
        category_limits={name: _inherit(raw.limits, own) for name, own in overrides.items()},
        categories=kinds,
        environment=router_environment(given),
        config_dir=folder,
        data_dir=data,
        dotenv=Path(dotenv) if dotenv is not None else None,
        variables=_used(raw, given),
        written=file.leaves(),
    )


def received(settings: Settings) -> Settings:
    """Settings that another process has loaded: their secrets are redacted in this one too."""
    environment = settings.environment
    keys = [host.key for host in settings.hosts.values()]
    for key in (*keys, *environment.api_keys):
        if key is not None:
            keep_secret(key.get_secret_value())
    model_files.remember_in(settings.data_dir)
    return settings


def _typed(
    file: YamlFile, categories: YamlFile
) -> tuple[_ProvidersFile, dict[str, Limits], dict[str, Category]]:
    """Both files as objects; raises ConfigError with the first mistake in either."""
    sections = {key: value for key, value in file.data.items() if value is not None}
    limits = sections.get("limits")
    own: dict[str, object] = {}
    if isinstance(limits, dict):
        own = {key: value for key, value in limits.items() if isinstance(value, dict)}
        sections["limits"] = {key: value for key, value in limits.items() if key not in own}
    foreign = list(checks.foreign_keys(file))
    raw, wrong = validate(file, _ProvidersFile, sections)
    found_limits = validate(file, _Overrides, own, ("limits",))
    found_kinds = validate(categories, _Categories, categories.data)
    (overrides, wrong_limits), (kinds, wrong_kinds) = found_limits, found_kinds
    reported = {mistake.line for mistake in foreign}
    here = [*checks.duplicate_keys(file), *foreign]
    here += [mistake for mistake in (*wrong, *wrong_limits) if mistake.line not in reported]
    here.sort(key=lambda mistake: mistake.line)
    refuse([*here, *checks.duplicate_keys(categories), *wrong_kinds])
    assert raw is not None
    assert overrides is not None
    assert kinds is not None
    refuse(_cross_checked(file, sections | {"limits": limits}, raw, categories))
    return raw, overrides, kinds


def _cross_checked(
    file: YamlFile, data: dict[str, object], raw: _ProvidersFile, categories: YamlFile
) -> list[Mistake]:
    names = {provider.name for provider in raw.providers}
    return [
        *checks.hosts(file, raw.hosts),
        *checks.providers(file, raw.providers, raw.hosts),
        *checks.priorities(file, raw.priorities, names, categories),
        *checks.named_elsewhere(file, data, names, categories),
    ]


def _used(raw: _ProvidersFile, given: Variables) -> dict[str, Source]:
    """Where each variable that this configuration refers to came from, if it is set."""
    names = {*ROUTER_VARIABLES, *(provider.model_env for provider in raw.providers)}
    for host in raw.hosts.values():
        names |= {host.base_url_env, host.api_key_env}
    return {name: given.sources[name] for name in names if name and name in given.sources}


def _inherit(general: Limits, own: Limits) -> Limits:
    """A category's limits: its own values where set, otherwise the general ones."""
    return general.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


def _host(name: str, host: Host, given: Variables) -> Host:
    if host.kind != "openai":
        return host
    url = given.get(host.base_url_env) or host.base_url
    if url is not None and (wrong := wrong_base_url(url)):
        raise ConfigError(f"{host.base_url_env}: the address of host `{name}` {wrong}")
    needed = (host.base_url_env if host.base_url is None else None, host.api_key_env)
    resolved: dict[str, object] = {
        "url": url.rstrip("/") if url else None,
        "disabled": _not_set(given.missing(*needed)),
    }
    if (key := given.get(host.api_key_env)) and host.api_key_env:
        keep_secret(key)
        given_for = given.beside(host.api_key_env, bound_variable(host.api_key_env))
        if url and (why := withheld(host.api_key_env, url, given_for, bound=host.bound_key)):
            resolved["disabled"] = why
        else:
            resolved["key"] = SecretStr(key)
    return host.model_copy(update=resolved)


def _provider(
    provider: Provider, raw: _ProvidersFile, hosts: Mapping[str, Host], given: Variables
) -> Provider:
    declared, host = raw.hosts[provider.host], hosts[provider.host]
    address = declared.base_url_env if declared.base_url is None else None
    missing = given.missing(address, declared.api_key_env, provider.model_env)
    disabled = _not_set(missing) or host.disabled
    if disabled and provider.name == raw.fallback.provider:
        disabled += "; until then the retrieved passages themselves stand behind every answer"
    simulation = provider.simulation
    if simulation is None and host.kind == "simulated":
        simulation = Simulation()
    return provider.model_copy(
        update={
            "resolved_model": provider.model or given.get(provider.model_env) or "",
            "disabled": disabled,
            "simulation": simulation,
        }
    )


def _not_set(missing: list[str]) -> str | None:
    """`A and B are not set: …`, or None if nothing is missing."""
    if not missing:
        return None
    names = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
    verb, them = ("is", "it") if len(missing) == 1 else ("are", "them")
    return f"{names} {verb} not set: put {them} into .env or the environment"

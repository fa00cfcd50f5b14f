"""The process environment and the `.env` file: the only place that reads either."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from config.errors import ConfigError
from config.models import Environment
from config.redaction import keep_secret

_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": "100",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "LANGSMITH_TRACING": "false",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
}

ROUTER_VARIABLES = (
    "ROUTER_DATABASE_URL",
    "ROUTER_CHROMA_URL",
    "ROUTER_API_KEYS",
    "ROUTER_UI_AUTH",
    "ROUTER_ALLOWED_HOSTS",
    "ROUTER_CORS_ORIGINS",
    "ROUTER_REPLICA_URL",
    "HF_ENDPOINT",
    "SPACE_ID",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)
Source = Literal["environment", ".env"]


def quiet() -> None:
    """Disable the libraries' telemetry and fork warnings; variables already set are kept.

    Call it before the first heavy import: gradio, chromadb and huggingface_hub read these once.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def private_uploads() -> None:
    """Give Gradio an upload folder of this process's own, removed at exit.

    Gradio's default is one folder under the system's temporary folder, shared by all users and
    processes.
    """
    if "GRADIO_TEMP_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="router-page-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder).resolve())


def hide_texts() -> None:
    """Keep prompts and answers out of LangSmith traces; variables already set are kept."""
    for name in ("LANGSMITH_HIDE_INPUTS", "LANGSMITH_HIDE_OUTPUTS"):
        os.environ.setdefault(name, "true")


def ray_address() -> str | None:
    """The Ray cluster to join; None: one of this machine's own."""
    return os.environ.get("RAY_ADDRESS") or None


def submitted_to_ray() -> bool:
    """Whether `ray job submit` started this process, which then decides what the nodes run."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


@dataclass(frozen=True, slots=True)
class Variables:
    """Environment variables by name, each with its origin; an empty one counts as not set."""

    values: Mapping[str, str]
    sources: Mapping[str, Source]

    def get(self, name: str | None) -> str | None:
        return self.values.get(name) if name else None

    def beside(self, name: str, other: str) -> str | None:
        """The value of `other` if it has the same origin as `name`."""
        same = self.sources.get(name) == self.sources.get(other)
        return self.values.get(other) if same else None

    def missing(self, *names: str | None) -> list[str]:
        """The named variables that are not set; None names are ignored."""
        return [name for name in names if name and name not in self.values]


def variables(environ: Mapping[str, str] | None, dotenv: str | Path | None) -> Variables:
    """The `.env` file and the process environment merged; the latter wins. `os.environ` is
    unchanged."""
    values: dict[str, str] = {}
    sources: dict[str, Source] = {}
    process = os.environ if environ is None else environ
    layers: list[tuple[Source, Mapping[str, str]]] = [
        (".env", _read_dotenv(Path(dotenv)) if dotenv is not None else {}),
        ("environment", process),
    ]
    for source, layer in layers:
        for name, value in layer.items():
            if value.strip():
                values[name] = value.strip()
                sources[name] = source
    return Variables(values, sources)


def _read_dotenv(path: Path) -> dict[str, str]:
    """`NAME=value` lines; `${…}` is not expanded, since a password may contain it."""
    if not path.exists():
        return {}
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read ({reason})") from None
    for binding in bindings:
        if binding.error or (binding.key and binding.value is None):
            line = binding.original.line
            raise ConfigError(
                f"{path}:{line}: is not a `NAME=value` line; write one, or put # before it"
            )
    return {b.key: b.value for b in bindings if b.key and b.value is not None}


def router_environment(given: Variables) -> Environment:
    """The application's own variables, validated; error messages never repeat a value."""
    keys = [key.strip() for key in (given.get("ROUTER_API_KEYS") or "").split(",")]
    auth = given.get("ROUTER_UI_AUTH")
    if auth is not None and not re.fullmatch(r"[^:\s][^:]*:.+", auth):
        raise ConfigError("ROUTER_UI_AUTH: must be `user:password`; correct it in the environment")
    database = given.get("ROUTER_DATABASE_URL")
    if database is not None and not re.match(r"[a-z0-9+]+://", database):
        raise ConfigError(
            "ROUTER_DATABASE_URL: must be a database URL such as"
            " postgresql+psycopg://user:password@host/name or sqlite:///folder/router.db"
        )
    chroma = given.get("ROUTER_CHROMA_URL")
    if chroma is not None and (wrong := wrong_url(chroma)):
        raise ConfigError(f"ROUTER_CHROMA_URL: {wrong}")
    replica = given.get("ROUTER_REPLICA_URL")
    if replica is not None and (wrong := wrong_url(replica) or _with_path(replica)):
        raise ConfigError(f"ROUTER_REPLICA_URL: {wrong}")
    hub = given.get("HF_ENDPOINT")
    if hub is not None and (wrong := wrong_url(hub)):
        raise ConfigError(f"HF_ENDPOINT: {wrong}")
    collector = given.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if collector is not None and (wrong := wrong_url(collector)):
        raise ConfigError(f"OTEL_EXPORTER_OTLP_ENDPOINT: {wrong}")
    for secret in (*keys, auth.partition(":")[2] if auth else ""):
        keep_secret(secret)
    return Environment(
        database_url=database,
        chroma_url=chroma,
        api_keys=tuple(SecretStr(key) for key in keys if key),
        ui_auth=SecretStr(auth) if auth else None,
        allowed_hosts=_allowed_hosts(given.get("ROUTER_ALLOWED_HOSTS") or ""),
        cors_origins=_origins(given.get("ROUTER_CORS_ORIGINS") or ""),
        replica_url=replica.rstrip("/") if replica else None,
        space_id=given.get("SPACE_ID"),
        hub_endpoint=hub.rstrip("/") if hub else None,
        collector=collector.rstrip("/") if collector else None,
    )


def _allowed_hosts(given: str) -> tuple[str, ...]:
    names = tuple(name.strip().strip("[]").lower() for name in given.split(",") if name.strip())
    for name in names:
        if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", name):
            raise ConfigError(
                f"ROUTER_ALLOWED_HOSTS: “{name}” is not a host name; write names alone,"
                " separated by"
                " commas, such as router.example.com,10.0.0.7 (no scheme, port or *)"
            )
    return names


def _origins(given: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in given.split(",") if origin.strip())
    for origin in origins:
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#@*]+", origin):
            raise ConfigError(
                f"ROUTER_CORS_ORIGINS: “{origin}” is not an origin; name each page's own, such as"
                " https://app.example.com,vscode-webview://panel (no path and no *)"
            )
    return origins


def _with_path(url: str) -> str | None:
    if urlsplit(url).path.strip("/"):
        return "must end with its port, such as http://10.0.0.7:7860"
    return None


_ROUTE = re.compile(r"/((?:chat/)?completions|responses|messages|embeddings)/*$")


def wrong_base_url(url: str) -> str | None:
    """What is wrong with the address of an OpenAI-compatible API, or None."""
    if wrong := wrong_url(url):
        return wrong
    if route := _ROUTE.search(urlsplit(url).path):
        return f"must end before `/{route[1]}`, which is added to it, such as https://host/v1"
    return None


def wrong_url(url: str) -> str | None:
    """What is wrong with a service's address, or None; the address itself is never repeated."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is not a valid address; write it as https://host/v1"
    if parts.username is not None or parts.password is not None:
        return "has a user name or key before the @; remove it and name the key in api_key_env"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must start with http:// or https:// and name a host, such as https://host/v1"
    if parts.query or parts.fragment or re.search(r"\s", url):
        return "must end with its path: no `?…`, no `#…` and no spaces"
    return None

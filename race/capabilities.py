"""What each provider can do: declared in the configuration, or learned from its host's refusals.

What was learned is stored in the data folder, and expires after FORGET_S, since deployments change.
Declared capabilities take precedence.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import get_args

import structlog
from typing_extensions import TypedDict

from config.hosts import Capability
from config.models import Settings

logger = structlog.get_logger()

FORGET_S = 7 * 86_400.0
FILE = "capabilities.json"
KNOWN: frozenset[str] = frozenset(get_args(Capability))
_KINDS_WITHOUT = frozenset({"simulated", "llama_cpp"})
"""Hosts whose models only answer in text unless their entry declares more: simulated ones, and the
embedded LLaMA, whose server as started here answers offers of tools with text."""


class Refusal(TypedDict):
    """A host's message when it refused, and when."""

    at: float  # Unix time in seconds
    words: str


class Known(TypedDict):
    """What is known about a provider's capabilities."""

    declared: list[str] | None
    lacks: list[str]
    learned: dict[str, str]
    """By capability, the host's message when it refused."""


class Capabilities:
    """Shared by all requests of a process; every method is fast."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns Unix time in seconds."""
        self._settings = settings
        self._clock = clock
        self._file = settings.data_dir / FILE
        self._keys = {p.name: _key(settings, p.name) for p in settings.providers}
        self._learned: dict[str, dict[str, Refusal]] = _read(self._file)

    def lacks(self, name: str, needs: Collection[str]) -> str | None:
        """Why the provider cannot do what is needed, as a phrase; None if it may.

        A need that is not a capability is a field that its host must list under `passes`.
        """
        missing = self.missing(name)
        cannot = sorted(need for need in needs if need in missing)
        passes = self._settings.hosts[self._settings.provider(name).host].passes
        fields = sorted(n for n in needs if n not in KNOWN and n not in passes)
        said = [f"it cannot do {' and '.join(cannot)}"] if cannot else []
        said += [f"its host does not take {' and '.join(fields)}"] if fields else []
        return ", and ".join(said) or None

    def missing(self, name: str) -> frozenset[str]:
        """The capabilities that the provider lacks, as far as is known."""
        provider = self._settings.provider(name)
        declared = provider.capabilities
        if declared is None and self._settings.hosts[provider.host].kind in _KINDS_WITHOUT:
            declared = ()
        if declared is None:
            return frozenset(self.learned(name))
        able = {*declared, *({"json_object"} if "json_schema" in declared else ())}
        return KNOWN - able

    def learned(self, name: str) -> dict[str, str]:
        """By capability, the host's message when it refused, without those that have expired."""
        found = self._learned.get(self._keys.get(name, ""), {})
        since = self._clock() - FORGET_S
        return {what: entry["words"] for what, entry in found.items() if entry["at"] > since}

    def about(self, name: str) -> Known:
        """For display: the declared and the learned capabilities."""
        declared = self._settings.provider(name).capabilities
        return Known(
            declared=None if declared is None else [str(name) for name in declared],
            lacks=sorted(self.missing(name)),
            learned=self.learned(name),
        )

    def learn(self, name: str, lacks: Capability, words: str) -> None:
        """Store a refusal; if the folder cannot be written, it is only forgotten with the
        process."""
        self._learned = {**_read(self._file), **self._learned}
        entry = Refusal(at=self._clock(), words=words[:300])
        self._learned.setdefault(self._keys[name], {})[lacks] = entry
        logger.info("capability_refused", provider=name, lacks=lacks, words=words[:300])
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(self._learned, indent=1))
            temporary.replace(self._file)
        except OSError as error:
            logger.warning("capabilities_not_kept", file=str(self._file), error=str(error))


def _key(settings: Settings, name: str) -> str:
    """A refusal applies to one model at one address, not to others under the same name."""
    provider = settings.provider(name)
    said = f"{provider.resolved_model}|{settings.hosts[provider.host].url}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _read(file: Path) -> dict[str, dict[str, Refusal]]:
    """The stored refusals; empty if there are none or the file is damaged, since they are learned
    again."""
    found: object = None
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(file.read_text())
    if not isinstance(found, dict):
        return {}
    return {
        str(key): {
            what: Refusal(at=entry["at"], words=str(entry.get("words")))
            for what, entry in entries.items()
            if what in KNOWN
            and isinstance(entry, dict)
            and isinstance(entry.get("at"), int | float)
        }
        for key, entries in found.items()
        if isinstance(entries, dict)
    }

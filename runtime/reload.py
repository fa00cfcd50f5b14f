"""Taking in a changed configuration while requests run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from config.models import Settings
from race.services import Services
from routing.classifier.live import LiveClassifier
from runtime.learning import Learning
from runtime.services import classifier_for

Signature = tuple[tuple[int, int], ...]

FILES = ("providers.yaml", "categories.yaml")


class ConfigWatcher:
    """The configuration's files: `changed` is true once for every edit."""

    def __init__(self, config_dir: Path, read: Callable[[], Settings]) -> None:
        self.read = read
        self._config_dir = config_dir
        self._seen = self._signature()

    def changed(self) -> bool:
        found = self._signature()
        if found == self._seen:
            return False
        self._seen = found
        return True

    def _signature(self) -> Signature:
        found = []
        for name in FILES:
            try:
                status = (self._config_dir / name).stat()
            except OSError:
                found.append((0, 0))
            else:
                found.append((status.st_mtime_ns, status.st_size))
        return tuple(found)


def renewed(services: Services, settings: Settings) -> Services:
    """The services for a new configuration; blocks while a changed classifier is trained.

    The log, the knowledge base, the requests in flight, the embedded LLaMAs and the breakers of
    providers that stayed as they were are taken along.
    """
    same = settings.categories == services.settings.categories
    return replace(
        services,
        settings=settings,
        providers=services.providers.with_settings(settings),
        classifier=services.classifier if same else _retrained(services, settings),
        routing=services.routing.with_settings(settings, Learning(settings)),
    )


def _retrained(services: Services, settings: Settings) -> LiveClassifier:
    """A classifier for other categories, with the lessons of the one before."""
    fresh = LiveClassifier(classifier_for(settings, services.encoder))
    fresh.teach(services.classifier.lessons)
    return fresh

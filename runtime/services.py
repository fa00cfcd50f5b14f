"""Opens the parts that the nodes work with, and renews them for a changed configuration."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from config.environment import hide_texts
from config.errors import StorageError
from config.models import Settings
from providers.registry import Providers
from race.late import LateAnswers
from race.routing_state import RoutingState
from race.services import Services, Thinkers
from routing.classifier.classifier import MODEL, WEIGHTS, Classifier
from routing.classifier.live import ByKeywords, LiveClassifier
from routing.classifier.training import Embed
from routing.classifier.weights import Weights
from runtime.learning import Learning
from telemetry.log import InteractionLog
from telemetry.metrics import Metrics
from vectorstore.embeddings import Embedder
from vectorstore.knowledge import Knowledge
from vectorstore.prompt_encoder import PromptEncoder

if TYPE_CHECKING:
    from telemetry.traces import Traces

logger = structlog.get_logger()

THINKERS = 4
"""Classification threads. A prompt takes one of them some milliseconds of CPU, but in a crowd most
of its time goes by in waiting for the interpreter's lock between the encoder's halves: with two,
prompts queue while cores are free."""


LOG_S = 0.5
"""How long a start waits for a database; a wrong address or password is reported within it."""

NICE = 10
"""Niceness of training threads, below the requests' own."""

CALM_GC = (20_000, 20, 20)
"""With Python's default thresholds a fifth of the event loop's time went into searching for cyclic
garbage, in pauses of up to 0.18 s, because a hundred thousand objects of the libraries were
traversed each time."""


def open_services(settings: Settings) -> Services:
    """Open everything that can fail early; blocks for about half a second.

    Raises StorageError if the log can never be used; a database that does not answer is waited for
    in the background. Missing model files reduce quality but do not prevent the start: prompts are
    then classified by rules and documents found by BM25.
    """
    calm_collector()
    if not settings.log.text:
        hide_texts()
    environment = settings.environment
    with ThreadPoolExecutor(2, thread_name_prefix="open") as beside:
        opening = beside.submit(_open_log, settings)
        loading = beside.submit(shared_embedder)
        encoder = shared_encoder()
        log, embedder = opening.result(), loading.result()
    return Services(
        settings=settings,
        providers=Providers(settings),
        classifier=LiveClassifier(
            known_classifier(settings, encoder) or ByKeywords(settings.categories)
        ),
        encoder=encoder,
        embedder=embedder,
        knowledge=Knowledge.open(settings.data_dir, embedder, environment.chroma_url),
        log=log,
        routing=RoutingState(settings, memory=Learning(settings)),
        late=LateAnswers(),
        metrics=Metrics(),
        thinkers=Thinkers(ThreadPoolExecutor(THINKERS, thread_name_prefix="classify"), THINKERS),
        traces=traces_to(environment.collector),
    )


def _open_log(settings: Settings) -> InteractionLog:
    url = settings.environment.database_url
    return InteractionLog.open(url, settings.data_dir, text=settings.log.text, wait_s=LOG_S)


def traces_to(collector: str | None) -> Traces | None:
    """None if no collector is configured: then nothing of tracing is even imported."""
    if collector is None:
        return None
    from telemetry.traces import Traces

    return Traces.open(collector)


def calm_collector() -> None:
    """Make the garbage collector run less often; a program that already did so keeps its
    thresholds."""
    if gc.isenabled() and 0 < gc.get_threshold()[0] < CALM_GC[0]:
        gc.set_threshold(*CALM_GC)


@cache
def shared_embedder() -> Embedder | None:
    """One for the process: it is thread-safe and takes 100 MB."""
    try:
        return Embedder.load()
    except StorageError as error:
        logger.warning("model_files_missing", error=str(error))
        return None


@cache
def shared_encoder() -> PromptEncoder | None:
    """One for the process, likewise."""
    try:
        return PromptEncoder.load(MODEL)
    except StorageError as error:
        logger.warning("model_files_missing", error=str(error))
        return None


def known_classifier(settings: Settings, encoder: PromptEncoder | None) -> Classifier | None:
    """The classifier for the configured categories if it need not be trained: for the shipped
    categories it is in the repository, for others it may be in the data folder."""
    embed, model = _embedding(encoder)
    shipped = Weights.load((MODEL / WEIGHTS).read_bytes())
    if (ready := Classifier.ready(shipped, settings.categories, embed, model)) is not None:
        return ready if encoder is None else quickened(ready, encoder)
    with contextlib.suppress(OSError):
        known = (settings.data_dir / "classifier.npz").read_bytes()
        return Classifier.load(known, settings.categories, embed, model)
    return None


def quickened(classifier: Classifier, encoder: PromptEncoder) -> Classifier:
    """The classifier with its early exit, if the weights have one."""
    quick = classifier.with_early_exit(encoder)
    if quick is classifier:
        logger.warning(
            "early_exit_not_learned",
            effect="an unclear prompt takes a fifth more CPU",
            fix="python -m training --stage early",
        )
    return quick


def classifier_for(settings: Settings, encoder: PromptEncoder | None) -> Classifier:
    """The trained classifier from the data folder, or trained now, in some seconds, and stored
    there: call this in a thread while requests are served."""
    if (known := known_classifier(settings, encoder)) is not None:
        return known
    logger.info("learning_the_categories_once", categories=list(settings.categories))
    shipped = Weights.load((MODEL / WEIGHTS).read_bytes())
    trained = Classifier.train(settings.categories, *_embedding(encoder), shipped)
    _keep(settings.data_dir / "classifier.npz", trained.dump())
    return trained


def trained_behind(settings: Settings, encoder: PromptEncoder | None) -> Classifier:
    """`classifier_for` in a thread that yields to the requests' threads."""
    if hasattr(os, "setpriority"):  # on Linux each thread has a priority of its own
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    return classifier_for(settings, encoder)


def _embedding(encoder: PromptEncoder | None) -> tuple[Embed | None, str]:
    return (None, "") if encoder is None else (encoder.embed, encoder.name)


def _keep(path: Path, data: bytes) -> None:
    """Replace the file atomically; if the folder cannot be written, the next start takes a second
    longer."""
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        fresh.write_bytes(data)
        fresh.replace(path)
    except OSError as error:
        logger.warning("classifier_not_kept", path=str(path), error=str(error))


Signature = tuple[tuple[int, int], ...]

FILES = ("providers.yaml", "categories.yaml")


class ConfigWatcher:
    """The configuration's files and the `.env` file: `changed` returns True once for every edit."""

    def __init__(
        self, config_dir: Path, read: Callable[[], Settings], dotenv: Path | None = None
    ) -> None:
        self.read = read
        self._files = [*(config_dir / name for name in FILES), *([dotenv] if dotenv else [])]
        self._seen = self._signature()

    def changed(self) -> bool:
        found = self._signature()
        if found == self._seen:
            return False
        self._seen = found
        return True

    def _signature(self) -> Signature:
        found = []
        for file in self._files:
            try:
                status = file.stat()
            except OSError:
                found.append((0, 0))
            else:
                found.append((status.st_mtime_ns, status.st_size))
        return tuple(found)


def renewed(services: Services, settings: Settings) -> Services:
    """The services for a new configuration; blocks while a changed classifier is trained.

    The log, the knowledge base, requests in flight, embedded LLaMAs and the breakers of unchanged
    providers are carried over.
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
    """A classifier for other categories, with the previous one's lessons."""
    fresh = LiveClassifier(classifier_for(settings, services.encoder))
    fresh.teach(services.classifier.lessons)
    return fresh


SHIPPED = Path(__file__).parent.parent / "config" / "knowledge"


def knowledge_folder(settings: Settings) -> Path:
    """The documents' folder of a configuration; demos share the shipped one."""
    own = settings.config_dir / "knowledge"
    return own if own.is_dir() else SHIPPED


async def ingest(services: Services) -> None:
    """Bring the knowledge base up to date, without delaying prompts; a failure is logged."""
    try:
        report = await services.knowledge.ingest(knowledge_folder(services.settings))
    except StorageError as error:
        logger.error("ingest_failed", error=str(error))
        return
    logger.info("ingested", added=report.added, updated=report.updated, removed=report.removed)
    for path, reason in report.skipped:
        logger.warning("document_skipped", path=path, reason=reason)

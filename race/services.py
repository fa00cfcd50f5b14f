"""The collaborators that the nodes work with."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from config.models import Settings
from providers.registry import Providers
from race.judging import Judging
from race.late import LateAnswers
from race.request import Request
from race.routing_state import RoutingState
from routing.classifier.live import LiveClassifier
from telemetry.log import InteractionLog
from telemetry.metrics import Metrics
from vectorstore.embeddings import Embedder
from vectorstore.knowledge import Knowledge
from vectorstore.prompt_encoder import PromptEncoder

if TYPE_CHECKING:
    from telemetry.traces import Traces

RunKey = tuple[object, str]
"""A run of the graph: LangGraph's `RunControl`, which a run shares with its subgraphs, and its
namespace, empty for a top-level run."""


@dataclass(frozen=True, slots=True)
class Services:
    """The nodes' collaborators, created once by the router and passed to the graph."""

    settings: Settings
    providers: Providers
    classifier: LiveClassifier
    encoder: PromptEncoder | None
    embedder: Embedder | None
    knowledge: Knowledge
    log: InteractionLog
    routing: RoutingState
    late: LateAnswers
    metrics: Metrics
    thinkers: Executor
    """Worker threads for classification: onnxruntime works without the GIL."""
    traces: Traces | None = None
    """None: no collector is configured, and no tracing code is loaded."""
    judging: Judging = field(default_factory=Judging)
    races: dict[RunKey, Request] = field(default_factory=dict)
    """The requests in flight, by their run of the graph."""

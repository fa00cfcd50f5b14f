"""Prometheus metrics in a registry of their own; one scrape covers all worker processes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from telemetry.records import AttemptRow, InteractionRow

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 120.0)
STATES = ("closed", "half_open", "open")


SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Prometheus' own variable: the folder in which several processes share their metrics."""


def shared_by_processes(folder: Path) -> None:
    """Processes started from here on report their metrics together.

    A process that has already built its metrics keeps them to itself.
    """
    os.environ[SHARED] = str(folder)


def ended(folder: Path, pid: int) -> None:
    """Drop the gauges of a process that has ended; its counters are kept."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


class Metrics:
    """Counters and histograms of one process; all methods are fast and thread-safe."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "router_requests",
            "Requests by category, who answered in which role, and whether it was a success.",
            ("category", "role", "success"),
            registry=self.registry,
        )
        self._latency = Histogram(
            "router_latency_seconds",
            "From the request to its whole answer.",
            ("category",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._ttft = Histogram(
            "router_ttft_seconds",
            "From the request to the first token shown.",
            ("category",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._attempts = Counter(
            "router_attempts",
            "Calls to providers by outcome and error.",
            ("provider", "role", "outcome", "error"),
            registry=self.registry,
        )
        self._provider_ttft = Histogram(
            "router_provider_ttft_seconds",
            "From a call to its first token.",
            ("provider",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._cost = Counter(
            "router_cost_usd",
            "What calls cost, as far as it is known.",
            ("provider",),
            registry=self.registry,
        )
        self._breaker = Gauge(
            "router_breaker_state",
            "1 for the state that a provider's circuit breaker is in.",
            ("provider", "state"),
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._racing = Gauge(
            "router_races",
            "Requests whose race is not decided.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._waiting = Gauge(
            "router_queue",
            "Requests that wait for a place.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._listening = Gauge(
            "router_late_calls",
            "Late primaries still listened to.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._log_failures = Counter(
            "router_log_failures",
            "Rows that neither the log nor the spool took in time.",
            registry=self.registry,
        )
        self._backlog = Gauge(
            "router_log_waiting_rows",
            "Rows that the log has yet to take, by where they wait: on the disk or in memory.",
            ("where",),
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._lost = Gauge(
            "router_log_lost_rows",
            "Rows that were given up since the start: there was no room for them.",
            registry=self.registry,
            multiprocess_mode="sum",
        )
        self._batch_lines = Counter(
            "router_batch_lines",
            "Lines of batches by result: completed, failed, or retried since nobody could answer.",
            ("result",),
            registry=self.registry,
        )
        self._batch_waiting = Gauge(
            "router_batch_lines_waiting",
            "Lines of unfinished batches without a result, in the whole database.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._batch_in_progress = Gauge(
            "router_batch_lines_in_progress",
            "Lines of batches that are being answered.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._own_failures = Counter(
            "router_metrics_failures", "Requests that were not counted.", registry=self.registry
        )

    def observe(self, interaction: InteractionRow, attempts: Sequence[AttemptRow]) -> None:
        """Count one request and its calls, from their log rows."""
        category = interaction["category"]
        role, success = interaction["role"] or "none", str(interaction["success"]).lower()
        self._requests.labels(category, role, success).inc()
        self._latency.labels(category).observe(interaction["latency_ms"] / 1000)
        if (ttft_ms := interaction["ttft_ms"]) is not None:
            self._ttft.labels(category).observe(ttft_ms / 1000)
        for attempt in attempts:
            self._count(attempt)

    def observe_late(self, attempt: AttemptRow) -> None:
        """Count a late primary's new revision; its first one was counted as `timed_out`."""
        self._count(attempt)

    def log_failed(self) -> None:
        self._log_failures.inc()

    def count_failed(self) -> None:
        self._own_failures.inc()

    def backlog(self, spooled: int, in_memory: int, lost: int) -> None:
        """Set the numbers of jobs waiting for the log, and of those lost."""
        self._backlog.labels("disk").set(spooled)
        self._backlog.labels("memory").set(in_memory)
        self._lost.set(lost)

    def batch_line(self, result: str) -> None:
        """Count one line of a batch: `completed`, `failed` or `retried`."""
        self._batch_lines.labels(result).inc()

    def batches_now(self, waiting: int, in_progress: int) -> None:
        """Set the numbers of lines that all batches wait for, and of those in progress here."""
        self._batch_waiting.set(waiting)
        self._batch_in_progress.set(in_progress)

    def observe_now(
        self, breakers: Mapping[str, str], racing: int, waiting: int, listening: int
    ) -> None:
        """Set the gauges of this process."""
        for provider, current in breakers.items():
            for state in STATES:
                self._breaker.labels(provider, state).set(float(state == current))
        self._racing.set(racing)
        self._waiting.set(waiting)
        self._listening.set(listening)

    def render(self) -> bytes:
        """The exposition text: this process's metrics, or those of all that share a folder."""
        if (folder := os.environ.get(SHARED)) is None:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def _count(self, attempt: AttemptRow) -> None:
        provider = attempt["provider"]
        error = attempt.get("error") or ""
        self._attempts.labels(provider, attempt["role"], attempt["outcome"], error).inc()
        if (ttft_ms := attempt.get("ttft_ms")) is not None:
            self._provider_ttft.labels(provider).observe(ttft_ms / 1000)
        if cost_usd := attempt.get("cost_usd"):
            self._cost.labels(provider).inc(cost_usd)

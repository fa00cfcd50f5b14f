"""OpenTelemetry traces by the conventions for generative AI, built from the log's rows.

A request's spans are built when its rows are complete, so nothing is measured twice, and are
exported in a thread of the exporter's own. Names follow the semantic conventions (gen_ai.*, as of
1.40); anything without a standard name is under `router.*`. Texts are exported only if the rows
contain them: `log.text`. Sentences (an error's detail, the reason of a decision) may quote a prompt
and are treated like texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

if TYPE_CHECKING:
    from telemetry.records import AttemptRow, InteractionRow

Value = str | bool | int | float | list[str]

SERVICE = "llm-router"
CLOSE_MS = 3_000
"""How long, in ms, waiting spans may take to be exported when the router closes."""

_FAILED = ("failed", "timed_out")


class Traces:
    """Takes complete rows; never blocks, and never raises if the collector fails."""

    def __init__(self, processor: BatchSpanProcessor) -> None:
        self._processor = processor
        self._resource = Resource.create({"service.name": SERVICE})
        self._scope = InstrumentationScope(SERVICE)

    @classmethod
    def open(cls, collector: str) -> Traces:
        """Export to `collector` + `/v1/traces`; if it does not answer, only spans are lost."""
        exporter = OTLPSpanExporter(endpoint=f"{collector}/v1/traces")
        return cls(BatchSpanProcessor(exporter))

    def request(self, row: InteractionRow) -> None:
        """Export the request, its classification, its attempts and the decision."""
        request, at = row["request_id"], row["at"]
        end = at + row["latency_ms"] / 1000
        decision = Event("decision", _kept(_decision(row)), _ns(end))
        self._span(
            f"invoke_agent {SERVICE}",
            _span_id(request),
            request,
            at,
            end,
            _request(row),
            events=[decision],
            error=None if row["success"] else "no_answer",
        )
        attempts = row["attempts"]
        begun = min((a["started_ms"] for a in attempts if "started_ms" in a), default=0.0)
        classified: Mapping[str, Value | None] = {
            "router.category": row["category"],
            "router.confidence": row["confidence"],
        }
        key = _span_id(request, "classify")
        parent = _span_id(request)
        self._span("classify", key, request, at, at + begun / 1000, classified, parent=parent)
        for attempt in attempts:
            self._attempt(attempt)

    def late(self, attempt: AttemptRow) -> None:
        """Export a primary's attempt again, because its answer came after the decision."""
        self._attempt(attempt)

    def close(self) -> None:
        """Send waiting spans, within `CLOSE_MS`; blocks."""
        self._processor.force_flush(CLOSE_MS)
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _attempt(self, row: AttemptRow) -> None:
        request, revision = row["request_id"], row.get("revision") or 0
        self._span(
            f"chat {row['model']}",
            _span_id(request, f"{row['seq']}.{revision}"),
            request,
            row["at"],
            row["at"] + (row["latency_ms"] or 0.0) / 1000,
            _call(row),
            parent=_span_id(request),
            kind=SpanKind.CLIENT,
            error=(row["error"] or row["outcome"]) if row["outcome"] in _FAILED else None,
        )

    def _span(
        self,
        name: str,
        span_id: int,
        request: str,
        start: float,
        end: float,
        attributes: Mapping[str, Value | None],
        *,
        parent: int | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        events: list[Event] | None = None,
        error: str | None = None,
    ) -> None:
        extra = {"error.type": error} if error else {}
        self._processor.on_end(
            ReadableSpan(
                name=name,
                context=_context(request, span_id),
                parent=None if parent is None else _context(request, parent),
                resource=self._resource,
                attributes=_kept({**attributes, **extra}),
                events=events or [],
                kind=kind,
                instrumentation_scope=self._scope,
                status=Status(StatusCode.ERROR if error else StatusCode.UNSET),
                start_time=_ns(start),
                end_time=_ns(end),
            )
        )


def _request(row: InteractionRow) -> dict[str, Value | None]:
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": SERVICE,
        "gen_ai.conversation.id": row.get("session_id"),
        "router.request_id": row["request_id"],
        "router.cost_usd": row["cost_usd"],
        "router.simulated": row["simulated"],
        "gen_ai.input.messages": _message("user", row.get("prompt")),
        "gen_ai.output.messages": _message("assistant", row.get("answer")),
    }


def _decision(row: InteractionRow) -> dict[str, Value | None]:
    with_texts = row.get("prompt") is not None
    return {
        "router.preferred": row["preferred"],
        "router.winner": row["winner"],
        "router.role": row["role"],
        "router.fallback_used": row["fallback_used"],
        "router.stopped": row.get("stopped"),
        "router.reason": row.get("reason") if with_texts else None,
    }


def _call(row: AttemptRow) -> dict[str, Value | None]:
    finish = row.get("finish_reason")
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": row["host"],
        "gen_ai.request.model": row["model"],
        "gen_ai.usage.input_tokens": row["tokens_in"],
        "gen_ai.usage.output_tokens": row["tokens_out"],
        "gen_ai.response.finish_reasons": [finish] if finish else None,
        "gen_ai.output.messages": _message("assistant", row.get("text")),
        "router.provider": row["provider"],
        "router.role": row["role"],
        "router.outcome": row["outcome"],
        "router.served": row["served"],
        "router.ttft_ms": row["ttft_ms"],
        "router.cost_usd": row["cost_usd"],
        "router.cost_estimated": row["cost_estimated"],
    }


def _message(role: str, text: str | None) -> str | None:
    if text is None:
        return None
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def _kept(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}


def _context(request: str, span_id: int) -> SpanContext:
    trace_id = int.from_bytes(_digest(request)[:16], "big")
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(1))


def _span_id(request: str, part: str = "") -> int:
    """Derived from the row, so that a late attempt joins its request's trace."""
    return int.from_bytes(_digest(f"{request}/{part}")[:8], "big") or 1


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)

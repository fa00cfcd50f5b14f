"""Spans reach a collector on loopback, by the conventions, without a word of any prompt."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from config.errors import ConfigError
from graph.router import Router
from tests.conftest import SettingsFor
from tests.upstream import Behaviour, Upstream

CANARY = "zebra-canary-7391"


class Collector:
    """Keeps what was exported, byte for byte."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def attributes(span: Any) -> dict[str, Any]:
    values = {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}
    return {key: value for key, value in values.items() if not hasattr(value, "values")}


async def asked(
    settings_for: SettingsFor, upstream: Upstream, collector: Collector, **sections: Any
) -> str:
    """One request whose first provider fails with a page that quotes the prompt."""
    body = {"error": {"message": f"cannot read {CANARY}", "type": "server_error", "code": None}}
    upstream.behave("first", Behaviour(status=401, body=body))
    upstream.behave("cheap", Behaviour(ttft_s=2.0))
    upstream.behave("second", Behaviour(text=f"An answer with {CANARY}."))
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    async with Router(settings_for(upstream, environ=environ, **sections)) as router:
        answer = await router.answer(f"What is a {CANARY}?")
    return answer.request_id


async def test_a_request_its_attempts_and_its_decision_are_spans_of_one_trace(
    settings_for: SettingsFor, upstream: Upstream, collector: Collector
) -> None:
    request_id = await asked(settings_for, upstream, collector)
    spans = collector.spans()
    root = next(span for span in spans if not span.parent_span_id)
    assert attributes(root)["router.request_id"] == request_id
    assert [event.name for event in root.events] == ["decision"]
    assert {span.trace_id for span in spans} == {root.trace_id}
    children = [span for span in spans if span.parent_span_id]
    assert {span.parent_span_id for span in children} == {root.span_id}
    assert "classify" in {span.name for span in children}
    calls = {attributes(s)["router.provider"]: s for s in spans if s.name.startswith("chat ")}
    served, failed = attributes(calls["second"]), attributes(calls["first"])
    assert served["gen_ai.request.model"] == "second"
    assert served["gen_ai.usage.output_tokens"] > 0
    assert served["router.outcome"] == "ok"
    assert served["router.cost_usd"] > 0
    assert (failed["router.outcome"], failed["error.type"]) == ("failed", "auth")


async def test_no_word_of_a_prompt_or_an_answer_leaves(
    settings_for: SettingsFor, upstream: Upstream, collector: Collector
) -> None:
    await asked(settings_for, upstream, collector)
    exported = b"".join(collector.bodies)
    assert b"gen_ai.request.model" in exported
    assert CANARY.encode() not in exported


async def test_texts_leave_where_the_operator_stores_them(
    settings_for: SettingsFor, upstream: Upstream, collector: Collector
) -> None:
    await asked(settings_for, upstream, collector, log={"text": True})
    assert CANARY.encode() in b"".join(collector.bodies)


async def test_a_collector_that_is_not_there_costs_no_answer(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    async with Router(settings_for(upstream, environ=environ)) as router:
        assert (await router.answer("Why?")).success


def test_an_address_that_is_none_is_refused_by_name(settings_for: SettingsFor) -> None:
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        settings_for(environ={"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"})


def test_nothing_of_tracing_is_loaded_where_no_collector_is_named() -> None:
    script = """
import sys, graph.router, runtime.services
names = ("opentelemetry.exporter", "telemetry.traces")
print([m for m in sys.modules if m.startswith(names)])
"""
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"

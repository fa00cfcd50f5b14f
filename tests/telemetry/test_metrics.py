from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from telemetry.metrics import Metrics
from tests.telemetry.rows import attempt, request


def samples(metrics: Metrics, **gauges: int) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample of the exposition text, by name and label values."""
    known = {"racing": 0, "waiting": 0, "listening": 0} | gauges
    metrics.observe_now({"model-a": "open"}, **known)
    text = metrics.render().decode()
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_request_and_its_calls_are_counted() -> None:
    metrics = Metrics()
    failed = attempt(1, provider="model-b", outcome="failed", error="server", cost_usd=None)
    metrics.observe(request("r1"), [attempt(), failed])
    found = samples(metrics)
    assert found["router_requests_total", ("technical", "primary", "true")] == 1
    assert found["router_attempts_total", ("", "ok", "model-a", "primary")] == 1
    assert found["router_attempts_total", ("server", "failed", "model-b", "primary")] == 1
    assert found["router_latency_seconds_count", ("technical",)] == 1
    assert found["router_ttft_seconds_sum", ("technical",)] == 0.21
    assert found["router_cost_usd_total", ("model-a",)] == 0.0004
    assert ("router_cost_usd_total", ("model-b",)) not in found


def test_a_late_answer_is_counted_as_such() -> None:
    metrics = Metrics()
    metrics.observe_late(attempt(outcome="late"))
    assert samples(metrics)["router_attempts_total", ("", "late", "model-a", "primary")] == 1


def test_gauges_show_the_moment() -> None:
    metrics = Metrics()
    metrics.log_failed()
    found = samples(metrics, racing=3, waiting=2, listening=1)
    assert found["router_races", ()] == 3
    assert found["router_queue", ()] == 2
    assert found["router_late_calls", ()] == 1
    assert found["router_log_failures_total", ()] == 1
    assert found["router_breaker_state", ("model-a", "open")] == 1
    assert found["router_breaker_state", ("model-a", "closed")] == 0


def test_two_routers_of_a_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.log_failed()
    assert samples(other)["router_log_failures_total", ()] == 0

"""A trial against a chat host on loopback: it decides, stops early, and survives failures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from config.hosts import Cost
from config.models import Settings
from config.probe_sets import Probe, load_probes
from discovery.calls import Contender, ask, smoke
from discovery.events import Figures
from discovery.trial import Rules, Verdict, compare
from providers.base import ChatProvider
from providers.registry import Providers
from tests.conftest import SettingsFor
from tests.discovery.services import ChatHost, Reply

CONFIG = Path(__file__).parents[2] / "config"
LOADED = load_probes(CONFIG, "technical")
assert LOADED is not None
PROBES = LOADED.probes
BY_PROMPT = {probe.prompt: probe.right[0] for probe in PROBES}
PRICE = Cost(input=1.0, output=2.0)
RULES = Rules(ttft_s=5.0)
Get = Callable[[str], ChatProvider]


def right(prompt: str) -> str:
    return str(BY_PROMPT.get(prompt, "ready"))


def wrong(prompt: str) -> str:
    return "I do not know."


@pytest.fixture
async def host() -> AsyncIterator[ChatHost]:
    with ChatHost(first=right, second=wrong) as host:
        yield host


@pytest.fixture
async def get(host: ChatHost, settings_for: SettingsFor) -> AsyncIterator[Get]:
    settings: Settings = settings_for(hosts={"upstream": {"base_url": host.base_url}})
    providers = Providers(settings)
    yield providers.get
    await providers.close()


async def trial(
    candidate: Contender,
    incumbent: Contender,
    probes: tuple[Probe, ...] = PROBES,
    rules: Rules = RULES,
) -> tuple[list[Figures], Verdict]:
    steps = [step async for step in compare(candidate, incumbent, probes, rules)]
    *events, verdict = steps
    assert isinstance(verdict, Verdict)
    return [event for event in events if not isinstance(event, Verdict)], verdict


async def test_a_better_candidate_is_recognised_before_the_last_probe(get: Get) -> None:
    events, verdict = await trial(Contender(get("first"), PRICE), Contender(get("second"), PRICE))
    assert verdict.outcome == "better"
    assert verdict.lower > 0
    assert verdict.candidate_score == 1.0
    assert verdict.probes < len(PROBES)
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))


async def test_a_worse_candidate_is_recognised(get: Get) -> None:
    _, verdict = await trial(Contender(get("second")), Contender(get("first")))
    assert verdict.outcome == "worse"
    assert verdict.upper < 0


async def test_equals_are_undecided_after_every_probe(get: Get) -> None:
    _, verdict = await trial(Contender(get("first")), Contender(get("first")))
    assert verdict.outcome == "undecided"
    assert verdict.probes == len(PROBES)
    assert verdict.lower < 0 < verdict.upper


async def test_cost_and_time_of_both_sides_are_kept(get: Get) -> None:
    events, verdict = await trial(Contender(get("first"), PRICE), Contender(get("second"), PRICE))
    assert verdict.cost_usd == pytest.approx(events[-1]["cost_usd"])
    assert verdict.cost_usd is not None
    assert verdict.cost_usd > 0
    assert verdict.ttft_ms is not None
    assert events[0]["tried"]["latency_ms"] > 0


async def test_an_unknown_price_is_not_free(get: Get) -> None:
    _, verdict = await trial(Contender(get("first"), PRICE), Contender(get("second"), None))
    assert verdict.cost_usd is None


async def test_a_candidate_that_keeps_failing_is_unusable(get: Get, host: ChatHost) -> None:
    del host.models["second"]
    events, verdict = await trial(Contender(get("second")), Contender(get("first")))
    assert verdict.outcome == "unusable"
    assert "3 calls in a row failed, the last one with not_found" in verdict.reason
    assert len(events) == 3


async def test_an_incumbent_that_is_out_says_nothing_about_the_candidate(
    get: Get, host: ChatHost
) -> None:
    del host.models["second"]
    _, verdict = await trial(Contender(get("first")), Contender(get("second")))
    assert verdict.outcome == "not tried"
    assert verdict.probes == 0
    assert "the incumbent failed" in verdict.reason


async def test_a_passing_fault_costs_one_probe_and_not_the_trial(get: Get, host: ChatHost) -> None:
    host.faults = [Reply.json({"error": {"message": "busy"}}, 503)]
    rules = Rules(ttft_s=5.0, abreast=1)
    events, verdict = await trial(Contender(get("first")), Contender(get("second")), rules=rules)
    assert events[0]["tried"]["error"].startswith("server:")
    assert verdict.outcome == "better"


async def test_a_candidate_that_is_always_too_late_is_unusable_here(get: Get) -> None:
    rules = Rules(ttft_s=0.0)
    _, verdict = await trial(Contender(get("first")), Contender(get("first")), rules=rules)
    assert verdict.outcome == "unusable"
    assert "more than the category's 0 s" in verdict.reason


async def test_a_trial_ends_when_its_budget_is_spent(get: Get) -> None:
    dear = Cost(input=1e6, output=1e6)
    _, verdict = await trial(Contender(get("first"), dear), Contender(get("first"), dear))
    assert verdict.outcome == "undecided"
    assert "budget" in verdict.reason
    assert verdict.probes <= 2


async def test_both_sides_get_the_same_prompts_at_temperature_zero(
    get: Get, host: ChatHost
) -> None:
    await trial(Contender(get("first")), Contender(get("second")), PROBES[:4])
    asked = {model: host.chats(model) for model in ("first", "second")}
    prompts = {m: {c["messages"][-1]["content"] for c in calls} for m, calls in asked.items()}
    assert prompts["first"] == prompts["second"]
    assert {c["temperature"] for calls in asked.values() for c in calls} == {0.0}


async def test_the_smoke_call_tells_what_is_wrong(get: Get, host: ChatHost) -> None:
    assert (await smoke(Contender(get("first")))).error is None
    host.faults = [Reply.json({"error": {"message": "no such key"}}, 401)]
    answer = await smoke(Contender(get("first")))
    assert answer.error is not None
    assert answer.error.startswith("auth:")


async def test_code_in_an_answer_is_not_run(get: Get, host: ChatHost, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    host.models["first"] = lambda _: f"```python\nopen({str(trap)!r}, 'w')\n```"
    await trial(Contender(get("first")), Contender(get("second")))
    assert not trap.exists()


async def test_an_answer_is_read_only_so_far(get: Get, host: ChatHost) -> None:
    host.models["first"] = lambda _: "word " * 10_000
    assert len((await ask(Contender(get("first")), "Go on.", 10)).text) <= 8_000

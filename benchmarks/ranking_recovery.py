"""How long a model that was down, or only unlucky, takes to be first again.

Through the application's own routing state: its circuit breakers decide who may be asked, its
ranking in which order. Only the clock, the chances and the models' answers are made up; one request
a second.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import yaml

from config.loader import load
from config.models import Settings
from providers.base import ProviderError
from race.permits import Permit
from race.routing_state import RoutingState
from telemetry.records import AttemptRow, InteractionRow, Outcome
from tests.conftest import CATEGORIES

CATEGORY = "technical"
WAITS = {"quick": 0.4, "steady": 2.5, "flaky": 4.0}
"""Median seconds to the first token; the declared order, too."""

NO_BREAKER = {"failures": 10**6, "window": 10**6, "slow_s": 3600.0}
DOWN = 400
STAYS = 20
"""Requests in a row for which it must be first."""


@dataclass(frozen=True)
class Trouble:
    """What happens to the first model from request `DOWN` on."""

    name: str
    target: int | None
    """Requests within which it must be first again, from the moment that is named; None: it was
    never down, and is here for comparison."""
    since: str
    length: int
    """Of the trouble, in requests, or with `calls` in calls to that model."""
    success: float = 0.0
    calls: bool = False
    breaker: bool = False


TROUBLES = (
    Trouble("down for 300 requests, breaker", 60, "breaker closed", 300, breaker=True),
    Trouble(
        "40% succeed for 300 requests, breaker", None, "breaker closed", 300, 0.4, breaker=True
    ),
    Trouble("down for 300 requests, no breaker", 200, "trouble over", 300),
    Trouble("40% succeed for 300 requests, no breaker", None, "trouble over", 300, 0.4),
    Trouble("five unlucky calls, no breaker", 200, "trouble over", 5, calls=True),
    Trouble("five unlucky calls, breaker", 60, "breaker closed", 5, calls=True, breaker=True),
)


def settings_of(folder: Path, **sections: Any) -> Settings:
    """Three models and a fallback, which are never called."""
    written = {
        "hosts": {"here": {"base_url": "http://127.0.0.1:9/v1"}},
        "providers": [{"name": n, "host": "here", "model": n} for n in (*WAITS, "cheap")],
        "priorities": {category: list(WAITS) for category in CATEGORIES},
        "fallback": {"provider": "cheap"},
        "limits": {"ttft_s": 30.0},
        **sections,
    }
    folder.mkdir(exist_ok=True)
    (folder / "providers.yaml").write_text(yaml.safe_dump(written))
    (folder / "categories.yaml").write_text(yaml.safe_dump(CATEGORIES))
    return load(folder, folder / "data", environ={}, dotenv=None)


class Run:
    """One run of requests through a routing."""

    def __init__(self, settings: Settings, trouble: Trouble, seed: int) -> None:
        self.trouble = trouble
        self.now = 0.0
        self.rng = Random(seed)
        self.routing = RoutingState(settings, clock=lambda: self.now, draw=Random(seed + 1).random)
        self.firsts: list[str] = []
        self.over = 0  # the first request after the trouble
        self.closed = 0  # the last one that closed an open breaker
        self.hit = 0  # calls that met the trouble

    def play(self, requests: int) -> int | None:
        """Requests from the moment that counts until the model is first to stay; None: never."""
        for t in range(requests):
            self.now = float(t)
            self._request(t)
            self.firsts.append(self.routing.ranking.order(CATEGORY)[0])
        start = max(self.closed, self.over) if self.trouble.breaker else self.over
        for t in range(start, len(self.firsts) - STAYS):
            if all(name == "quick" for name in self.firsts[t : t + STAYS]):
                return t - start
        return None

    def _request(self, t: int) -> None:
        routing = self.routing
        choice = routing.choose(CATEGORY)
        able = [name for name in choice.order if routing.allows(name)]
        asked = able[0] if able else choice.order[0]
        rows = [self._row(n, "skipped") for n in choice.order if n not in able and n != asked]
        was = routing.breakers[asked].state(self.now)
        permit = routing.grant(asked, CATEGORY, forced=not able)
        row = self._call(asked, t)
        if isinstance(permit, Permit):
            permit.sign_of_life(row["ttft_ms"] or 0.0)
            if row["outcome"] == "failed":
                permit.failed(ProviderError("server", "down"))
            else:
                permit.succeeded()
        if (
            asked == "quick"
            and was != "closed"
            and routing.breakers[asked].state(self.now) == "closed"
        ):
            self.closed = t + 1
        for seq, each in enumerate([*rows, row]):
            each["request_id"], each["seq"], each["at"] = f"{t:08d}", seq, self.now
        done = InteractionRow(  # only what the ranking reads
            request_id=f"{t:08d}", at=self.now, category=CATEGORY, attempts=[*rows, row]
        )
        if routing.fold([done], CATEGORY):
            routing.rerank(CATEGORY)

    def _call(self, name: str, t: int) -> AttemptRow:
        lucky = self.rng.random()
        wait = WAITS[name] * self.rng.lognormvariate(0.0, 0.3)
        if name == "quick" and self._troubled(t):
            self.hit += 1
            self.over = t + 1
            ok = lucky < self.trouble.success
        else:
            ok = lucky < (0.9 if name == "flaky" else 0.98)
        row = self._row(name, "ok" if ok else "failed")
        row["ttft_ms"] = 1_000 * wait if ok else None
        return row

    def _troubled(self, t: int) -> bool:
        trouble = self.trouble
        if not trouble.calls:
            if t == DOWN + trouble.length:
                self.over = t
            return DOWN <= t < DOWN + trouble.length
        return t >= DOWN and self.hit < trouble.length

    @staticmethod
    def _row(name: str, outcome: Outcome) -> AttemptRow:
        return AttemptRow(  # only what the ranking reads
            provider=name, category=CATEGORY, role="primary", outcome=outcome, revision=0
        )


def recovery(seeds: Sequence[int]) -> Iterator[str]:
    """A line for each trouble, with its target."""
    yield f"5. First again after trouble, through routing state and breakers, {len(seeds)} runs"
    yield f"  {'trouble':<42}{'requests since':<18}{'median':>7}{'slowest':>9}{'target':>8}"
    with tempfile.TemporaryDirectory() as folder:
        usual = settings_of(Path(folder) / "breaker")
        bare = settings_of(Path(folder) / "bare", breaker=NO_BREAKER)
        for trouble in TROUBLES:
            settings = usual if trouble.breaker else bare
            found = [Run(settings, trouble, seed).play(1_400) for seed in seeds]
            known = [10**4 if value is None else value for value in found]
            slowest = "never" if None in found else str(max(known))
            line = f"  {trouble.name:<42}{trouble.since:<18}{median(known):>7.0f}{slowest:>9}"
            if trouble.target is not None:
                verdict = "ok" if max(known) <= trouble.target else "MISSED"
                line += f"{'≤ ' + str(trouble.target):>8}  {verdict}"
            yield line

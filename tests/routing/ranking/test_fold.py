"""A fold that goes on from a snapshot is the fold that never stopped."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest

from config.models import Ranking as Weights
from routing.ranking import fold as fold_module
from routing.ranking.fold import from_json, held_from_json, held_to_json
from routing.ranking.ledger import Ledger
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation

DECLARED = {"technical": ("a", "b", "c"), "creative": ("b", "a", "c")}


def rows(n: int, start: int = 0) -> list[Observation]:
    """Three providers with troubles of their own, and some feedback."""
    draw = random.Random(7)
    made = []
    for i in range(start + n):
        provider = draw.choice("abc")
        ok = draw.random() > (0.5 if provider == "a" and i % 400 > 250 else 0.05)
        made.append(
            Observation(
                at=1e9 + 10 * i,
                request_id=f"r{i:06d}",
                seq=0,
                category=draw.choice(["technical", "creative"]),
                provider=provider,
                outcome="ok" if ok else "failed",
                error=None if ok else "server",
                ttft_ms=draw.uniform(50, 900) if ok else None,
                latency_ms=1000.0,
                cost_usd=0.001,
                quality=draw.random(),
                liked=draw.choice([None, None, True, False]),
            )
        )
    return made[start:]


def learner(seen: list[Observation] | None = None) -> Ranking:
    ranking = Ranking(Weights(), DECLARED)
    ranking.fold(seen or [])
    ranking.settle()
    return ranking


def figures(ranking: Ranking) -> list[dict[str, Any]]:
    ranking.settle()
    return [ranking.standings(category).as_dict() for category in DECLARED]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of a few hundred rows, so that a test need not fold a hundred thousand."""
    monkeypatch.setattr(fold_module, "WINDOW", 400)
    monkeypatch.setattr(fold_module, "STRETCH", 16)
    monkeypatch.setattr(fold_module, "RECENT", 64)


def test_learning_goes_on_from_a_snapshot_as_if_it_had_never_stopped(small: None) -> None:
    whole = rows(3_000)
    unbroken = learner()
    stopped = learner()
    for start in range(0, 2_000, 100):
        unbroken.fold(whole[start : start + 100])
        stopped.fold(whole[start : start + 100])
    resumed = learner()
    resumed.resume(held_from_json(json.loads(json.dumps(held_to_json(stopped.held())))))
    assert figures(resumed) == figures(unbroken)
    late = whole[1_900]._replace(liked=False, revision=1)
    for ranking in (resumed, unbroken):
        ranking.fold([*whole[2_000:], late])
    assert figures(resumed) == figures(unbroken)


def test_a_row_that_is_older_than_what_is_kept_is_folded_where_it_belongs(small: None) -> None:
    """As `runtime.learning` does: from the ring's state before it, with the log's rows since."""
    whole = rows(2_000)
    late, punctual = whole[900], whole[:900] + whole[901:]
    ranking = learner()
    for start in range(0, len(punctual), 100):
        ranking.fold(punctual[start : start + 100])
    before = figures(ranking)
    ranking.fold([late])
    assert figures(ranking) == before
    assert ranking.overtaken == late[:3]
    found = ranking.before(late[:3])
    assert found is not None
    key, state = found
    assert key < late[:3]
    again = learner()
    again.begin(key, state)
    again.fold([row for row in whole if row[:3] > key])
    assert again.overtaken is None
    unbroken = learner(whole)
    for mine, theirs in zip(figures(again), figures(unbroken), strict=True):
        assert mine["entries"] == theirs["entries"]


def test_the_ring_reaches_far_back_with_few_states(small: None) -> None:
    ranking = learner()
    whole = rows(12_000)
    for start in range(0, len(whole), 100):
        ranking.fold(whole[start : start + 100])
    ring = ranking.held().ring
    assert len(ring) <= fold_module.KEPT
    assert ring[0][0][0] < whole[1_000].at, "the oldest stays"
    gaps = [b[0][0] - a[0][0] for a, b in pairwise(ring)]
    assert gaps[1] > 3 * gaps[-1], "ever further apart"


def test_a_state_of_other_settings_is_taken_over_as_far_as_it_goes() -> None:
    learned = learner(rows(600))
    state = learned.held().state
    other = Ranking(Weights(), {"technical": ("new", "b", "a"), "general": ("a",)})
    other.begin((1e9 + 6_000, "", 0), state)
    known = {entry.provider: entry.n for entry in other.standings("technical").entries}
    assert known["new"] == 0
    assert known["a"] == state.arms["technical", "a"].n > 0
    other.fold(rows(50, 600))
    assert set(other.order("technical")) == {"new", "a", "b"}


def test_nothing_else_is_built_from_a_snapshot() -> None:
    with pytest.raises(ValueError, match="holds no Popen"):
        from_json({"Popen": {"args": "true"}})


def test_who_goes_on_from_a_kept_state_leaves_it_as_it_is() -> None:
    """Whatever the two ledgers have counted until then."""
    first, *others = rows(40)
    for steps in range(4):
        keeper = Ledger(Weights(), DECLARED, ())
        for _ in range(steps):
            keeper.snapshot()
        keeper.step(first)
        kept = keeper.snapshot()
        for taken in ("restore", "adopt"):
            other = Ledger(Weights(), DECLARED, ())
            getattr(other, taken)(kept)
            for row in others:
                other.step(row)
            assert sum(arm.n for arm in kept.arms.values()) == 1

"""Verdicts on two answers: what they teach the order, and what they must not."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from config.models import Ranking as Weights
from routing.ranking.arm import BESIDE, Lead
from routing.ranking.fold import from_json, held_from_json, held_to_json, to_json
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation, observations

C = "general"
ORDER = ("first", "second", "third")


def answered(n: int, name: str) -> Observation:
    """All of them succeed alike."""
    return Observation(float(n), f"r{n:06d}", 0, C, name, ttft_ms=400.0, cost_usd=0.0005)


def verdict(n: int, one: str, other: str, said: float, **more: object) -> Observation:
    return answered(n, one)._replace(
        **{"seq": 9, "role": "compare", "ttft_ms": None, "cost_usd": None}
        | {"against": other, "verdict": said, "source": "person"}
        | more  # type: ignore[arg-type]
    )


def learner(*rows: Observation) -> Ranking:
    ranking = Ranking(Weights(), {C: ORDER})
    ranking.fold([*(answered(n, ORDER[n % 3]) for n in range(90)), *rows])
    ranking.settle()
    return ranking


def leads(ranking: Ranking) -> dict[str, float]:
    return {e.provider: e.lead or 0.0 for e in ranking.standings(C).entries}


def between(
    qualities: dict[str, float], pairs: list[tuple[str, str]], times: int, **more: object
) -> Iterator[Observation]:
    """Verdicts of somebody who sees which answer is right; both or neither: a tie."""
    rng = random.Random(3)
    for n in range(times):
        one, other = pairs[n % len(pairs)]
        a, b = (rng.random() < qualities[name] for name in (one, other))
        yield verdict(100 + n, one, other, 0.5 + 0.5 * (a - b), **more)


def test_the_one_that_is_found_better_moves_ahead_and_the_other_gives_way() -> None:
    ranking = learner(*(verdict(100 + n, "second", "first", 1.0) for n in range(20)))
    assert ranking.order(C)[0] == "second"
    assert leads(ranking)["second"] == -leads(ranking)["first"] > 0.1


def test_leads_come_to_the_difference_in_the_share_of_right_answers() -> None:
    qualities = {"first": 0.4, "second": 0.9}
    found = leads(learner(*between(qualities, [("first", "second")], 800)))
    assert found["second"] - found["first"] == pytest.approx(0.5, abs=0.08)


def test_a_model_is_believed_half_of_what_a_person_is() -> None:
    rows = [verdict(100 + n, "second", "first", 1.0) for n in range(30)]
    by_judge = [row._replace(source="judge") for row in rows]
    person, model = leads(learner(*rows)), leads(learner(*by_judge))
    assert model["second"] == pytest.approx(0.5 * person["second"])


def test_ties_change_nothing() -> None:
    ranking = learner(*(verdict(100 + n, "second", "first", 0.5) for n in range(30)))
    assert leads(ranking) == dict.fromkeys(ORDER, 0.0)
    assert ranking.order(C) == learner().order(C)


def test_primaries_are_told_apart_by_the_answers_that_stand_behind_them() -> None:
    """They are never compared with each other."""
    qualities = {"first": 0.5, "second": 0.9, "helper": 0.3}
    rows = between(
        qualities, [("first", "helper"), ("second", "helper")], 800, beside=True, source="judge"
    )
    found = leads(learner(*rows))
    assert found["second"] - found["first"] == pytest.approx(0.5 * 0.4, abs=0.06)


@pytest.mark.parametrize("said", [0.0, 1.0])
def test_a_judge_that_always_or_never_likes_what_stands_behind_moves_no_primary(
    said: float,
) -> None:
    """Only the first is asked, and so only the first is ever compared."""
    rows = [
        verdict(100 + n, "first", "helper", said, beside=True, source="judge") for n in range(500)
    ]
    assert abs(leads(learner(*rows))["first"]) < 0.1  # it says 0.5


def test_verdicts_on_one_that_is_not_of_the_category_are_left_out() -> None:
    ranking = learner(*(verdict(100 + n, "second", "stranger", 1.0) for n in range(30)))
    assert leads(ranking)["second"] == 0.0


def test_a_verdict_that_comes_late_is_folded_where_its_answers_stand() -> None:
    rows = [verdict(40 + n, "second", "first", 1.0) for n in range(20)]
    at_once, afterwards = Ranking(Weights(), {C: ORDER}), learner()
    at_once.fold([*(answered(n, ORDER[n % 3]) for n in range(90)), *rows])
    at_once.settle()
    for row in reversed(rows):
        afterwards.fold([row])
    afterwards.settle()
    assert afterwards.standings(C) == at_once.standings(C)


def test_rows_of_the_log_say_which_answers_were_compared() -> None:
    attempt = {
        "provider": "second", "role": "compare", "outcome": "ok", "seq": 4, "verdict": 1.0,
        "against": "helper", "against_role": "fallback", "source": "late",
    }  # fmt: skip
    [seen] = observations(
        [{"request_id": "r", "at": 1.0, "category": C, "attempts": [attempt], "liked": None}]
    )
    assert (seen.against, seen.beside, seen.verdict, seen.source) == ("helper", True, 1.0, "late")


def test_a_fold_with_verdicts_goes_on_from_a_snapshot() -> None:
    rows = list(between({"first": 0.4, "second": 0.9}, [("first", "second")], 60))
    whole, stopped = learner(*rows), learner(*rows[:30])
    resumed = Ranking(Weights(), {C: ORDER})
    resumed.resume(held_from_json(json.loads(json.dumps(held_to_json(stopped.held())))))
    resumed.fold(rows[30:])
    resumed.settle()
    assert resumed.standings(C) == whole.standings(C)


def test_a_baseline_of_a_version_before_verdicts_is_read() -> None:
    state = json.loads(json.dumps(to_json(learner().held().state)))

    def older(value: object) -> object:
        if isinstance(value, dict):
            return {k: older(v) for k, v in value.items() if k not in ("lead", "beside")}
        return [older(v) for v in value] if isinstance(value, list) else value

    read = from_json(older(state))
    assert read.arms[C, "first"].lead == Lead()
    assert read.courses[C].beside == BESIDE

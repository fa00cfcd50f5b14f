from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.models import Ranking as Weights
from routing.ranking.fold import WINDOW
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation, observations
from routing.ranking.standings import Change

C = "technical"
ORDER = ("model-a", "model-b", "model-c")
WEIGHTS = Weights()


def tried(n: int, provider: str = "model-a", **fields: object) -> Observation:
    """The n-th request, one a second; answered by providers of which the first is quickest."""
    quick = {"model-a": 400.0, "model-b": 1_500.0, "model-c": 3_000.0}
    known: dict[str, object] = {"ttft_ms": quick.get(provider), "cost_usd": 0.0005, "category": C}
    return Observation(float(n), f"r{n:06d}", 0, provider=provider, **(known | fields))  # type: ignore[arg-type]


def ranking(rows: Iterable[Observation] = (), **more: object) -> Ranking:
    learner = Ranking(WEIGHTS, {C: ORDER}, **more)  # type: ignore[arg-type]
    learner.fold(rows)
    learner.settle()
    return learner


def means(learner: Ranking) -> dict[str, float]:
    return {entry.provider: entry.mean for entry in learner.standings(C).entries}


def everyone(count: int, start: int = 0, **fields: object) -> list[Observation]:
    """The providers in turn."""
    return [tried(start + n, ORDER[n % 3], **fields) for n in range(count)]


def test_an_offline_evaluation_weighs_no_more_than_a_bound() -> None:
    compared = [
        tried(n, name, role="compare", quality=quality, ttft_ms=None)
        for n in range(1_000)
        for name, quality in (("model-a", 0.2), ("model-b", 0.9))
    ]
    rows = [row._replace(seq=place) for place, row in enumerate(compared)]
    assert ranking(rows).order(C)[0] == "model-b"
    later = [tried(2_000 + n, "model-a", quality=1.0) for n in range(150)]
    later += [tried(3_000 + n, "model-b", quality=0.3) for n in range(150)]
    assert ranking(rows + later).order(C)[0] == "model-a"


def test_a_conversation_that_stays_counts_once() -> None:
    row = {
        "request_id": "r1",
        "at": 1.0,
        "category": C,
        "evidence": {"stays": "model-a"},
        "attempts": [{"provider": "model-a", "outcome": "ok", "propensity": None}],
    }
    learner = ranking(observations([row]))
    assert learner.standings(C).observations == 0
    drawn = {**row, "evidence": {}, "request_id": "r0"}
    assert ranking(observations([drawn, row])).standings(C).observations == 1


# -- the order ------------------------------------------------------------------------------------


def test_it_starts_from_the_declared_order() -> None:
    assert ranking().order(C) == ORDER
    assert list(means(ranking())) == list(ORDER)


def test_a_provider_that_fails_sinks() -> None:
    rows = everyone(60) + [tried(100 + n, outcome="failed", ttft_ms=None) for n in range(8)]
    assert ranking(rows).order(C)[0] == "model-b"


@pytest.mark.parametrize("seed", range(4))
def test_a_provider_that_becomes_slow_sinks(seed: int) -> None:
    """Within 8 to 12 slow answers, as 60 runs with such waits showed."""
    rng = random.Random(seed)
    rows = everyone(60) + [tried(100 + n, ttft_ms=9_000.0) for n in range(20)]
    waited = [
        row._replace(ttft_ms=(row.ttft_ms or 0.0) * rng.lognormvariate(0, 0.3)) for row in rows
    ]
    learner = ranking(waited[:60])
    assert learner.order(C)[0] == "model-a"
    learner.fold(waited[60:])
    learner.settle()
    assert learner.order(C)[0] == "model-b"


def test_a_provider_that_is_disliked_sinks() -> None:
    rows = everyone(60, liked=True) + [tried(100 + n, liked=False) for n in range(12)]
    assert ranking(rows).order(C)[0] == "model-b"


def test_of_equal_providers_the_cheaper_one_rises() -> None:
    rows = [
        tried(n, ORDER[n % 2], ttft_ms=400.0, cost_usd=0.0001 if n % 2 else 0.02) for n in range(80)
    ]
    assert ranking(rows).order(C)[0] == "model-b"


def test_small_differences_do_not_turn_the_order() -> None:
    rows = [tried(n, ORDER[n % 2], ttft_ms=420.0 - 20 * (n % 2)) for n in range(200)]
    assert ranking(rows).order(C) == ORDER


def test_five_unlucky_calls_do_not_throw_a_model_out_for_good() -> None:
    rows = everyone(90) + [tried(100 + n, outcome="failed", ttft_ms=None) for n in range(5)]
    learner = ranking(rows)
    assert learner.order(C)[0] == "model-b"
    learner.update(tried(200))
    learner.settle()
    assert learner.order(C)[0] == "model-a"


def test_a_skipped_provider_that_answers_again_is_first_again() -> None:
    rows = everyone(90) + [tried(100 + n, outcome="failed", ttft_ms=None) for n in range(4)]
    rows += [tried(110 + n, outcome="skipped", ttft_ms=None) for n in range(30)]
    learner = ranking(rows)
    assert learner.order(C)[0] == "model-b"
    learner.update(tried(200))
    change = learner.rerank(C)
    assert change is not None
    assert change.cause == "recovery"
    assert change.why == "technical: model-a before model-b: model-a is back from an outage"


def test_one_that_was_little_better_is_first_again_after_its_outage() -> None:
    """Few answers leave its reward unsure, but the order had been settled before the outage."""
    quick = {"model-a": 100.0, "model-b": 400.0, "model-c": 1_200.0}
    names = [*ORDER * 4, *("model-a",) * 12]
    rows = [tried(n, name, ttft_ms=quick[name]) for n, name in enumerate(names)]
    rows += [tried(100 + n, outcome="failed", ttft_ms=None) for n in range(8)]
    rows += [tried(110 + n, "model-b", ttft_ms=400.0) for n in range(60)]
    learner = ranking(rows)
    assert learner.order(C)[0] == "model-b"
    learner.update(tried(200, ttft_ms=100.0))
    learner.settle()
    assert learner.order(C)[0] == "model-a"


def test_a_provider_that_keeps_going_down_falls_behind() -> None:
    rows = everyone(60)
    for flap in range(25):
        at = 1_000 * (flap + 1)
        rows += [tried(at + n, outcome="failed", ttft_ms=None) for n in range(5)]
        rows += [tried(at + 10 + n) for n in range(3)]
        rows += [tried(at + 20 + n, "model-b") for n in range(10)]
    assert ranking(rows).order(C)[0] == "model-b"


def test_one_that_answers_now_and_then_amid_failures_is_not_back_from_an_outage() -> None:
    rows, n = everyone(90), 100
    for answered in (True, False, False, False, False, False) * 8:
        outcome = "ok" if answered else "failed"
        rows.append(tried(n, outcome=outcome, ttft_ms=400.0 if answered else None))
        n += 1
    learner = ranking(rows)
    learner.update(tried(n + 1))
    learner.settle()
    assert learner.order(C)[0] == "model-b"


def test_one_answer_tells_that_a_provider_is_dear() -> None:
    rows = [tried(n, "model-a", quality=0.6) for n in range(60)]
    dear = ranking([*rows, tried(100, "model-b", quality=0.6, cost_usd=0.02)])
    cheap = ranking([*rows, tried(100, "model-b", quality=0.6, cost_usd=0.0)])
    assert means(dear)["model-b"] < means(cheap)["model-b"] - 0.05


def test_a_cancelled_hedge_is_no_failure() -> None:
    rows = everyone(30)
    cancelled = [tried(100 + n, outcome="cancelled", ttft_ms=None) for n in range(50)]
    assert means(ranking(rows + cancelled)) == means(ranking(rows))


def test_a_late_answer_is_better_evidence_than_none() -> None:
    gone = [tried(n, outcome="timed_out", ttft_ms=None) for n in range(10)]
    late = [tried(n, outcome="late", ttft_ms=4_000.0, revision=1) for n in range(10)]
    assert means(ranking(gone + late))["model-a"] > means(ranking(gone))["model-a"]


def test_an_unknown_cost_is_not_taken_for_free() -> None:
    unknown = ranking([tried(n, cost_usd=None) for n in range(50)])
    free = ranking([tried(n, cost_usd=0.0) for n in range(50)])
    assert means(unknown)["model-a"] < means(free)["model-a"]
    assert unknown.standings(C).entries[0].cost_usd is None


def test_what_a_provider_does_as_fallback_does_not_rank_it_as_primary() -> None:
    rows = [tried(n, outcome="failed", role="fallback", ttft_ms=None) for n in range(50)]
    rows += [tried(100 + n, role="probe") for n in range(50)]
    assert ranking(rows).standings(C).observations == 0


def test_an_old_observation_counts_less_after_a_day() -> None:
    bad = [tried(n, quality=0.2) for n in range(4)]
    good = [tried(n, quality=1.0) for n in range(4, 8)]
    aged = [row._replace(at=row.at + 72 * 3_600) for row in good]
    assert means(ranking(bad + aged))["model-a"] > means(ranking(bad + good))["model-a"]


def test_a_category_or_provider_that_is_gone_from_the_config_is_left_out() -> None:
    rows = [tried(1, category="gone"), tried(2, "gone")]
    assert ranking(rows).order(C) == ORDER


# -- rerank ---------------------------------------------------------------------------------------


def test_rerank_is_due_after_enough_evidence() -> None:
    learner = ranking(everyone(300))
    assert learner.due(C) is None
    learner.fold([tried(1_000 + n) for n in range(WEIGHTS.every)])
    assert learner.due(C) == "evidence"
    learner.rerank(C)
    assert learner.due(C) is None


def test_rerank_is_due_at_once_when_a_reward_leaves_its_interval() -> None:
    learner = ranking(everyone(300))
    for n in range(4):
        learner.update(tried(1_000 + n, outcome="failed", ttft_ms=None))
    assert learner.due(C) == "interval"


def test_the_order_is_served_only_after_rerank() -> None:
    learner = ranking(everyone(60))
    learner.fold([tried(100 + n, outcome="failed", ttft_ms=None) for n in range(9)])
    assert learner.order(C) == ORDER
    change = learner.rerank(C)
    assert change is not None
    assert (change.before, change.after) == (ORDER, learner.order(C))


def test_a_change_says_what_moved() -> None:
    learner = ranking(everyone(120))
    change = None
    for n in range(9):
        learner.update(tried(1_000 + n, outcome="failed", ttft_ms=None))
        change = change or learner.rerank(C)
    assert change is not None
    assert change.why == (
        "technical: model-b before model-a: success of model-a 1.00 → 0.20 over its last 5,"
        " p95 0.4 s"
    )
    assert learner.standings(C).last_change is not None


def test_a_change_by_latency_is_given_in_seconds() -> None:
    learner = ranking(everyone(120))
    learner.fold([tried(1_000 + n, ttft_ms=9_000.0) for n in range(20)])
    change = learner.rerank(C)
    assert change is not None
    assert "first token of model-a 0.40 s → " in change.why
    assert change.why.endswith("p95 9.0 s")


# -- one log, one order ---------------------------------------------------------------------------


def story(seed: int, count: int = 400) -> list[Observation]:
    """A log in which providers fail, recover, are late and are judged."""
    rng = random.Random(seed)
    rows = []
    for n in range(count):
        provider = rng.choice(ORDER)
        bad = (n // 100) % 3 == ORDER.index(provider)
        outcome = "failed" if rng.random() < (0.7 if bad else 0.05) else "ok"
        rows.append(
            tried(
                n // 2,  # two requests a moment
                provider,
                outcome=outcome,
                ttft_ms=rng.uniform(200, 2_000) if outcome == "ok" else None,
                liked=rng.choice([None, None, True, False]),
            )._replace(request_id=f"r{n:06d}")
        )
    return rows


def state(learner: Ranking) -> object:
    learner.rerank(C)
    return learner.standings(C)


@given(st.randoms(use_true_random=False), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_the_order_of_arrival_does_not_matter(rng: random.Random, seed: int) -> None:
    rows = story(seed)
    expected = state(ranking(rows))
    shuffled = rows[:]
    rng.shuffle(shuffled)
    learner = ranking()
    while shuffled:
        cut = rng.randint(1, 150)
        learner.fold(shuffled[:cut])
        shuffled = shuffled[cut:]
    assert state(learner) == expected


@given(st.integers(0, 20))
@settings(max_examples=10, deadline=None)
def test_a_replay_gives_what_the_live_run_gave(seed: int) -> None:
    rows = story(seed)
    live = ranking()
    seen: list[Change] = []
    for row in rows:
        live.update(row)
        if live.due(C) and (change := live.rerank(C)):
            seen.append(change)
    told: list[Change] = []
    replay = Ranking(WEIGHTS, {C: ORDER}, on_change=told.append)
    replay.fold(rows)
    assert state(replay) == state(live)
    assert [c.why for c in told] == [c.why for c in seen]
    assert [(c.at, c.after) for c in told] == [(c.at, c.after) for c in seen]


def test_reading_a_stretch_of_the_log_twice_changes_nothing() -> None:
    rows = story(1)
    learner = ranking(rows)
    expected = state(learner)
    learner.fold(rows[100:300])
    assert state(learner) == expected


def test_a_revision_takes_the_place_of_its_row_wherever_it_is() -> None:
    rows = story(2, 900)
    revised = rows[:]
    for index in (3, 250, 700):
        revised[index] = rows[index]._replace(revision=1, outcome="late", ttft_ms=5e3, liked=None)
    learner = ranking(rows)
    learner.fold([revised[700], revised[3], revised[250]])
    assert state(learner) == state(ranking(revised))


def test_an_older_revision_does_not_replace_a_newer_one() -> None:
    late = tried(1, outcome="late", revision=1)
    learner = ranking([late])
    learner.update(tried(1, outcome="timed_out", ttft_ms=None))
    assert means(learner) == means(ranking([late]))


def test_feedback_that_is_withdrawn_leaves_no_trace() -> None:
    rows = everyone(60)
    learner = ranking(rows)
    expected = state(learner)
    learner.update(rows[30]._replace(liked=False))
    assert state(learner) != expected
    learner.update(rows[30])
    assert state(learner) == expected


def test_rows_beyond_the_window_stay_as_they_were_folded() -> None:
    rows = [tried(n, ORDER[n % 3]) for n in range(WINDOW + 6_000)]
    learner = ranking(rows)
    expected = state(learner)
    learner.fold(rows[:100])
    learner.update(rows[5]._replace(revision=1, outcome="failed"))
    assert state(learner) == expected
    assert learner.standings(C).observations == len(rows)


def test_rows_of_the_log_become_observations() -> None:
    row = {
        "request_id": "r1",
        "at": 5.0,
        "category": C,
        "liked": False,
        "attempts": [
            {"seq": 0, "at": 5.1, "provider": "model-a", "role": "primary", "outcome": "failed"},
            {"seq": 1, "provider": "local", "role": "fallback", "outcome": "ok", "served": True},
        ],
    }
    first, second = observations([row])
    assert (first.at, first.liked, first.category) == (5.1, None, C)
    assert (second.at, second.liked, second.role) == (5.0, False, "fallback")


# -- more failures never raise a model ------------------------------------------------------------


@example(28, 5, "model-c")  # not tried before
@given(st.integers(0, 50), st.integers(5, 120), st.sampled_from(ORDER))
@settings(max_examples=60, deadline=None)
def test_a_further_failure_never_raises_a_model(seed: int, count: int, provider: str) -> None:
    rows = story(seed, count)
    before = ranking(rows)
    after = ranking([*rows, tried(count, provider, outcome="failed", ttft_ms=None)])
    assert means(after)[provider] <= means(before)[provider] + 1e-12


@given(st.integers(0, 50), st.integers(5, 120), st.sampled_from(ORDER))
@settings(max_examples=60, deadline=None)
def test_failing_last_is_never_better_than_answering_last(
    seed: int, count: int, provider: str
) -> None:
    rows = story(seed, count)
    failed = ranking([*rows, tried(count, provider, outcome="failed", ttft_ms=None)])
    answered = ranking([*rows, tried(count, provider)])
    assert failed.order(C).index(provider) >= answered.order(C).index(provider)


# -- the choice -----------------------------------------------------------------------------------


def shares(learner: Ranking, allowed: tuple[str, ...] = ORDER, **more: float) -> dict[str, float]:
    """How often each is chosen, over an even grid of random numbers."""
    chosen = [learner.choose(C, allowed, n / 2_000, **more).order[0] for n in range(2_000)]
    return {name: chosen.count(name) / 2_000 for name in set(chosen)}


def test_the_choice_is_drawn_with_the_probability_that_it_states() -> None:
    learner = ranking(everyone(9))
    for name, share in shares(learner).items():
        stated = {
            learner.choose(C, ORDER, n / 500).propensity
            for n in range(500)
            if learner.choose(C, ORDER, n / 500).order[0] == name
        }
        assert len(stated) == 1
        assert stated.pop() == pytest.approx(share, abs=0.002)


def test_exploration_stays_between_its_floor_and_its_ceiling() -> None:
    untried = shares(ranking())
    ceiling = WEIGHTS.explore_max / (1.0 + WEIGHTS.tried)
    assert 1 - untried["model-a"] == pytest.approx(ceiling, abs=0.02)
    unsure = shares(ranking(everyone(9, ttft_ms=400.0)))
    assert 0.2 < 1 - unsure["model-a"] <= WEIGHTS.explore_max + 0.002
    rows = everyone(900)
    assert 1 - shares(ranking(rows))["model-a"] == pytest.approx(WEIGHTS.explore_min, abs=0.002)


def test_of_two_as_good_the_dearer_is_tried_less_often() -> None:
    rows = [tried(n, ORDER[n % 3], ttft_ms=400.0, quality=0.9 if n % 3 else 1.0) for n in range(60)]
    priced = [r._replace(cost_usd=0.004 if r.provider == "model-c" else 0.0002) for r in rows]
    found = shares(ranking(priced))
    assert found.get("model-c", 0.0) < found["model-b"]


def test_whom_to_ask_next_follows_the_order() -> None:
    assert ranking().choose(C, ORDER, 0.0).order == ORDER
    assert ranking().choose(C, ORDER, 0.999).order[0] != "model-a"


def test_a_provider_that_may_not_be_asked_is_not_chosen() -> None:
    assert set(shares(ranking(), ("model-c", "model-b"))) == {"model-b", "model-c"}
    assert ranking().choose(C, ("model-c",), 0.99).propensity == 1.0
    assert ranking().choose(C, (), 0.5).order == ()


def test_a_provider_on_trial_has_its_share_and_keeps_its_place() -> None:
    rows = [tried(n, ORDER[n % 3], quality=1.0 if n % 3 == 2 else 0.5) for n in range(90)]
    learner = ranking(rows, trials={"model-c": 0.05})
    assert learner.order(C)[-1] == "model-c"
    assert shares(learner)["model-c"] == pytest.approx(0.05, abs=0.002)
    assert learner.standings(C).entries[-1].trial == 0.05


def test_a_category_with_one_provider_works() -> None:
    learner = Ranking(WEIGHTS, {C: ("only",)})
    learner.fold([tried(n, "only", outcome="failed") for n in range(30)])
    learner.settle()
    assert learner.choose(C, ("only",), 0.99).order == ("only",)


def test_leaning_to_the_cheap_turns_the_order() -> None:
    rows = [tried(n, ORDER[n % 2], cost_usd=0.01 if n % 2 == 0 else 0.0) for n in range(80)]
    better = [r._replace(quality=1.0 if r.provider == "model-a" else 0.8) for r in rows]
    learner = ranking(better)
    assert learner.choose(C, ORDER, 0.0).order[0] == "model-a"
    assert learner.choose(C, ORDER, 0.0, lean=1.0).order[0] == "model-b"


# -- figures --------------------------------------------------------------------------------------


def test_the_standings_hold_the_figures_of_each_provider() -> None:
    rows = [tried(n, ttft_ms=100.0 * (n + 1), liked=n % 10 > 0) for n in range(20)]
    entry = ranking(rows).standings(C).entries[0]
    assert (entry.provider, entry.n, entry.liked, entry.disliked) == ("model-a", 20, 18, 2)
    assert entry.ttft_p50_ms == 1_000.0
    assert entry.ttft_p95_ms == 1_900.0
    assert entry.cost_usd == pytest.approx(0.0005)
    assert entry.low < entry.mean < entry.high
    assert entry.success is not None
    assert entry.success > 0.95


def test_standings_are_plain_values() -> None:
    plain = ranking(everyone(9)).standings(C).as_dict()
    assert plain["entries"][0]["provider"] == "model-a"


def test_the_p95_of_the_first_token_is_known_after_enough_calls() -> None:
    learner = ranking([tried(n, ttft_ms=100.0) for n in range(19)])
    assert learner.ttft_p95_s("model-a") is None
    learner.fold([tried(100 + n, ttft_ms=100.0) for n in range(15)])
    learner.fold(
        [tried(n + 200, outcome="timed_out", ttft_ms=None, latency_ms=3e3) for n in (1, 2)]
    )
    learner.fold([tried(300 + n, ttft_ms=100.0) for n in range(12)])
    assert learner.ttft_p95_s("model-a") == pytest.approx(0.1)
    learner.fold(
        [tried(n + 400, outcome="timed_out", ttft_ms=None, latency_ms=3e3) for n in range(9)]
    )
    learner.fold([tried(500 + n, ttft_ms=100.0) for n in range(5)])
    assert learner.ttft_p95_s("model-a") == pytest.approx(3.0)


def test_a_model_that_was_just_enabled_is_asked_before_the_one_that_stood_in_for_it() -> None:
    ranking = Ranking(Weights(), {"general": ["real", "stand-in", "other"]})
    ranking.fold([_answer(n, "stand-in") for n in range(30)])
    ranking.settle()
    assert ranking.order("general")[0] == "real"


@pytest.mark.parametrize("quality", [0.7, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("answers", [3, 5, 10, 20, 40, 100])
def test_a_model_that_was_just_enabled_and_only_fails_gives_way_after_three_failures(
    answers: int, quality: float
) -> None:
    ranking = Ranking(Weights(), {"general": ["real", "stand-in", "other"]})
    ranking.fold([_answer(n, "stand-in", quality) for n in range(answers)])
    ranking.settle()
    assert ranking.order("general")[0] == "real"
    for n in range(3):
        failed = _answer(200 + n, "real")._replace(outcome="failed", quality=None, ttft_ms=None)
        ranking.fold([failed])
    ranking.settle()
    assert ranking.order("general")[0] == "stand-in"


def test_a_model_that_was_just_enabled_and_is_worse_gives_way_after_a_few_answers() -> None:
    ranking = Ranking(Weights(), {"general": ["real", "stand-in", "other"]})
    ranking.fold([_answer(n, "stand-in") for n in range(30)])
    ranking.fold([_answer(30 + n, "real", quality=0.3) for n in range(6)])
    ranking.settle()
    assert ranking.order("general")[0] == "stand-in"


def test_a_model_that_was_bad_from_its_first_answers_on_is_found_when_it_becomes_the_best() -> None:
    names, rng = ("late", "steady", "third"), random.Random(1)
    ranking = Ranking(Weights(), {"general": names})
    for n in range(1_200):
        name = ranking.choose("general", names, rng.random()).order[0]
        wait_s = {"late": 12.0 if n < 400 else 0.4, "steady": 2.5, "third": 4.0}[name]
        seen = _answer(n, name)._replace(ttft_ms=1_000 * wait_s * rng.lognormvariate(0.0, 0.3))
        ranking.update(seen)
        ranking.rerank("general")
    assert ranking.order("general")[0] == "late"


def _answer(n: int, provider: str, quality: float = 1.0) -> Observation:
    return Observation(
        at=float(n),
        request_id=f"{n:06d}",
        seq=0,
        category="general",
        provider=provider,
        outcome="ok",
        ttft_ms=250.0,
        cost_usd=0.0,
        quality=quality,
        liked=None,
    )

"""Every term is shown, unknown is neutral, and the weights are weights."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from config.models import Cost
from discovery.licences import licence
from discovery.scoring import NEUTRAL, WEIGHTS, Evidence, Score, score

TODAY = date(2026, 11, 22)
KNOWN = Evidence(
    name="meta-llama/Llama-3.3-70B-Instruct",
    parameters=70e9,
    released=date(2024, 12, 6),
    licence="llama3.3",
    context=131072,
    cost=Cost(input=0.6, output=0.8),
    downloads=1e6,
    likes=2000,
    specialisation=("technical",),
)


def value(found: Score, name: str) -> float:
    return next(term.value for term in found.terms if term.name == name)


@pytest.mark.parametrize("category", WEIGHTS)
def test_weights_sum_to_one_and_the_total_is_the_weighted_mean(category: str) -> None:
    found = score(KNOWN, category, TODAY)
    assert sum(term.weight for term in found.terms) == pytest.approx(1)
    assert found.total == pytest.approx(sum(t.weight * t.value for t in found.terms))
    assert all(0 <= term.value <= 1 for term in found.terms)


def test_nothing_known_is_neutral_and_not_zero() -> None:
    found = score(Evidence(name="somebody/llama"), "technical", TODAY)
    assert found.total == pytest.approx(NEUTRAL)
    assert not any(term.known for term in found.terms if term.name != "specialisation")


@pytest.mark.parametrize(
    ("term", "better"),
    [
        ("size", {"parameters": 405e9}),
        ("release", {"released": TODAY}),
        ("licence", {"licence": "apache-2.0"}),
        ("price", {"cost": Cost(input=0.1, output=0.1)}),
        ("popularity", {"downloads": 9e6}),
    ],
)
def test_each_term_rewards_what_it_is_about(term: str, better: dict[str, object]) -> None:
    before = score(KNOWN, "technical", TODAY)
    after = score(replace(KNOWN, **better), "technical", TODAY)  # type: ignore[arg-type]
    assert value(after, term) > value(before, term)
    assert after.total > before.total


def test_a_model_made_for_another_category_counts_less() -> None:
    coder = Evidence(name="someone/llama-coder-8b")
    assert value(score(coder, "technical", TODAY), "specialisation") == 1.0
    assert value(score(coder, "creative", TODAY), "specialisation") < NEUTRAL


def test_a_category_of_the_users_own_is_weighed_as_general() -> None:
    weights = {t.name: t.weight for t in score(KNOWN, "legal", TODAY).terms}
    assert weights == WEIGHTS["general"]


def test_a_day_in_the_future_is_no_advantage() -> None:
    assert value(score(replace(KNOWN, released=date(2030, 1, 1)), "general", TODAY), "release") == 1


@pytest.mark.parametrize(
    "name", ["cc-by-nc-4.0", "cc-by-nc-sa-4.0", "mistral-research", "X Non-Commercial License"]
)
def test_a_licence_that_forbids_commercial_use_is_flagged(name: str) -> None:
    assert "forbids commercial use" in str(licence(name).flag)


@pytest.mark.parametrize(
    ("names", "commercial"),
    [
        ("apache-2.0 mit mit-0 0bsd zlib bsd-3-clause afl-3.0 cc-by-4.0 unlicense", True),
        ("gpl-3.0 agpl-3.0 lgpl-2.1 mpl-2.0 cc-by-sa-4.0 epl-2.0", True),
        ("llama2 llama3 llama3.1 llama3.3 llama4 nvidia-open-model gemma", True),
        ("mrl mnpl mnpl-0.1 apple-amlr llama1 cc-by-nc-4.0 qwen-research", False),
        ("other llama-of-somebody custom", None),
    ],
)
def test_each_licence_is_in_its_group(names: str, commercial: bool | None) -> None:
    assert {name: licence(name).commercial for name in names.split()} == dict.fromkeys(
        names.split(), commercial
    )
    assert licence("Academic Free License v3.0").commercial is True


def test_an_unknown_licence_asks_to_be_read_and_an_open_one_asks_nothing() -> None:
    assert "read it" in str(licence("other").flag)
    assert licence("apache-2.0").flag is None
    assert licence("llama3.3").flag is None
    assert licence("invented", commercial=False).commercial is False

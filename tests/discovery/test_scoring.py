"""Every term is shown, what is unknown never beats what is known, and the weights are weights."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from config.hosts import Cost
from discovery.licences import licence
from discovery.quality import Quality
from discovery.scoring import WEIGHTS, Evidence, Score, score

TODAY = date(2026, 11, 22)
KNOWN = Evidence(
    name="meta-llama/Llama-3.3-70B-Instruct",
    parameters=70e9,
    released=date(2024, 12, 6),
    licence="llama3.3",
    context=65536,
    cost=Cost(input=0.6, output=0.8, as_of=date(2026, 8, 22), source="a price list"),
    downloads=1e6,
    likes=2000,
)
QUALITY = Quality(value=0.6, level=0.3, error=0.2, measured=True)


def value(found: Score, name: str) -> float:
    return next(term.value for term in found.terms if term.name == name)


def test_weights_sum_to_one_half_of_them_quality_and_the_total_is_the_weighted_mean() -> None:
    found = score(KNOWN, TODAY, QUALITY)
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    assert 0.5 <= WEIGHTS["quality"] <= 0.6
    assert found.total == pytest.approx(sum(t.weight * t.value for t in found.terms))
    assert all(0 <= term.value <= 1 for term in found.terms)


def test_nothing_known_is_the_worst() -> None:
    found = score(Evidence(name="somebody/llama"), TODAY)
    assert found.total == 0
    assert not any(term.known for term in found.terms)


@pytest.mark.parametrize(
    "unknown",
    ["parameters", "released", "licence", "context", "cost", "downloads", "likes"],
)
def test_knowing_a_fact_never_lowers_a_score(unknown: str) -> None:
    less = replace(KNOWN, **{unknown: None})  # type: ignore[arg-type]
    if unknown in ("downloads", "likes"):
        less = replace(less, downloads=None, likes=None)
    assert score(less, TODAY, QUALITY).total < score(KNOWN, TODAY, QUALITY).total
    dear = replace(KNOWN, cost=Cost(input=1000, output=1000))
    assert score(dear, TODAY).total >= score(replace(KNOWN, cost=None), TODAY).total


@pytest.mark.parametrize(
    ("term", "better"),
    [
        ("size", {"parameters": 405e9}),
        ("release", {"released": TODAY}),
        ("licence", {"licence": "apache-2.0"}),
        ("context", {"context": 131072}),
        ("price", {"cost": Cost(input=0.1, output=0.1)}),
        ("popularity", {"downloads": 9e6}),
        ("speed", {"active": 17e9}),
    ],
)
def test_each_term_rewards_what_it_is_about(term: str, better: dict[str, object]) -> None:
    before = score(KNOWN, TODAY, QUALITY)
    after = score(replace(KNOWN, **better), TODAY, QUALITY)  # type: ignore[arg-type]
    assert value(after, term) > value(before, term)


def test_a_late_first_word_is_a_minus_that_is_shown() -> None:
    thinks = score(replace(KNOWN, thinks="always"), TODAY)
    assert value(thinks, "speed") == pytest.approx(value(score(KNOWN, TODAY), "speed") / 2)
    assert "always thinks first" in next(t.said for t in thinks.terms if t.name == "speed")


def test_a_price_says_its_day_and_its_source() -> None:
    said = next(t.said for t in score(KNOWN, TODAY).terms if t.name == "price")
    assert said == "$0.6 in, $0.8 out (2026-08-22, a price list)"


def test_a_day_in_the_future_is_no_advantage() -> None:
    assert value(score(replace(KNOWN, released=date(2030, 1, 1)), TODAY), "release") == 1


@pytest.mark.parametrize(
    "name", ["cc-by-nc-4.0", "cc-by-nc-sa-4.0", "mistral-research", "X Non-Commercial License"]
)
def test_a_licence_that_forbids_commercial_use_is_flagged(name: str) -> None:
    assert "forbids commercial use" in str(licence(name).flag)


@pytest.mark.parametrize(
    ("names", "commercial"),
    [
        (
            "apache-2.0 mit mit-0 0bsd zlib bsd-3-clause afl-3.0 cc-by-4.0 unlicense"
            " mit-license the-unlicense",
            True,
        ),
        ("gpl-3.0 agpl-3.0 agplv3 lgpl-2.1 mpl-2.0 cc-by-sa-4.0 epl-2.0", True),
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

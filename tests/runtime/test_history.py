"""The courses of the learned figures: from the ranking's memory, however long the log is."""

from __future__ import annotations

import pytest

from config.models import Ranking as Weights
from routing.ranking import fold
from routing.ranking.ledger import Ledger
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation
from runtime import history
from runtime.history import Courses

DECLARED = {"technical": ("a", "b"), "creative": ("b", "a")}


def rows(begin: int, end: int) -> list[Observation]:
    """Of two categories in turn; the first of each is better than the second."""
    return [
        Observation(
            at=1e9 + i,
            request_id=f"{i:06d}",
            seq=0,
            category="technical" if i % 2 else "creative",
            provider="ab"[i // 2 % 2],
            outcome="failed" if i % 5 == 0 else "ok",
            ttft_ms=100.0 + i % 300,
        )
        for i in range(begin, end)
    ]


def take(courses: Courses, ranking: Ranking) -> None:
    courses.take(ranking.held(), Ledger(Weights(), DECLARED, ()))


def means(ranking: Ranking, category: str) -> dict[str, float]:
    return {e.provider: round(e.mean, 4) for e in ranking.standings(category).entries}


def test_every_row_of_a_short_log_is_a_point_and_the_last_one_is_now():
    ranking, courses = Ranking(Weights(), DECLARED), Courses()
    take(courses, ranking)
    assert courses.points == {}
    for end in (0, 40, 41, 60):
        ranking.fold(rows(0, end))
        take(courses, ranking)
    assert [p["at"] - 1e9 for p in courses.points["technical"]] == list(range(1, 60, 2))
    for category in DECLARED:
        assert courses.points[category][-1]["means"] == means(ranking, category)


def test_what_came_since_costs_only_itself_and_gives_the_same_points():
    at_once, in_steps = Courses(), Courses()
    ranking = Ranking(Weights(), DECLARED)
    for end in range(0, 230, 23):
        ranking.fold(rows(0, end))
        take(in_steps, ranking)
    take(at_once, ranking)
    assert in_steps.points == at_once.points


def test_a_long_log_is_shown_from_its_beginning_in_a_bounded_number_of_points(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(fold, "WINDOW", 400)
    monkeypatch.setattr(fold, "STRETCH", 16)
    monkeypatch.setattr(fold, "RECENT", 256)
    monkeypatch.setattr(history, "FINE", 100)
    ranking, courses = Ranking(Weights(), DECLARED), Courses()
    for begin in range(0, 3_000, 50):
        ranking.fold(rows(begin, begin + 50))
    take(courses, ranking)
    points = courses.points["technical"]
    assert points[0]["at"] < 1e9 + 1_500
    assert points[-1]["at"] == 1e9 + 2_999
    assert [p["at"] for p in points] == sorted({p["at"] for p in points})
    assert len(points) <= history.MOST_POINTS
    assert points[-1]["means"] == means(ranking, "technical")

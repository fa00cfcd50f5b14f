"""The caller's own limit for the primary, and what is known before anybody has answered."""

import asyncio

import pytest

from config.errors import UsageError
from graph.asked import checked
from tests.graph.test_cases import fallback, primary
from tests.graph.virtual import SURE, Stage, on_virtual_time, whole


def test_the_fallback_takes_over_when_the_callers_own_limit_has_passed():
    async def play():
        stage = Stage(primary(whole(500, "P")), fallback(whole(50, "F")), ttft_s=3)
        played = await stage.play(options={"ttft_s": 0.1})
        assert (played.text, played.answer["ttft_ms"]) == ("F", pytest.approx(100, abs=12))
        assert "had not begun to answer after 0.1 s" in played.answer["why"]

    on_virtual_time(play())


def test_who_was_given_less_time_than_usual_is_not_blamed_for_being_late():
    async def play():
        stage = Stage(primary(whole(500, "P")), fallback(whole(50, "F")), ttft_s=3)
        late = asyncio.create_task(anext(stage.router.late()))
        await stage.play(options={"ttft_s": 0.1})
        assert (await late)["text"] == "P"
        first = next(a for a in stage.log.rows[0]["attempts"] if a["role"] == "primary")
        assert (first["outcome"], first["error"]) == ("timed_out", "caller_limit")
        (last,) = stage.log.revisions
        assert (last["outcome"], last["error"]) == ("late", "caller_limit")
        (standing,) = stage.services.routing.ranking.standings("general").entries
        assert standing.n == 0
        for _ in range(6):
            await stage.play(options={"ttft_s": 0.1})
        assert stage.services.routing.states()["primary"] == "closed"

    on_virtual_time(play())


def test_passages_are_shown_while_everybody_still_thinks():
    async def play():
        stage = Stage(primary(whole(500, "P")), fallback(whole(300, "F")), retrieval=SURE)
        played = await stage.play()
        (found,) = [e for e in played.events if e["type"] == "retrieved"]
        assert found["at_ms"] < 100
        assert [p["title"] for p in found["passages"]] == ["Sky"]
        assert found["answer"] == "The sky is blue.\n(Sky, sky.md)"

    on_virtual_time(play())


@pytest.mark.parametrize("given", [0, -1, 601])
def test_a_limit_that_cannot_be_is_refused(settings_for, given):
    with pytest.raises(UsageError, match="ttft_s"):
        checked(settings_for(), "Hello", options={"ttft_s": given})

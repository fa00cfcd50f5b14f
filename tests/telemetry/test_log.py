"""What the log promises on either database."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from config.errors import NotFoundError, StorageError
from telemetry.log import InteractionLog
from telemetry.records import InteractionRow
from tests.telemetry.postgres import PostgresServer
from tests.telemetry.rows import attempt, request


async def changes(log: InteractionLog, cursor: int | None) -> tuple[dict[str, InteractionRow], int]:
    """Everything since the cursor, by request, and where to go on."""
    found: dict[str, InteractionRow] = {}
    while True:
        rows, cursor = await log.since(cursor)
        if not rows:
            return found, cursor
        found.update({row["request_id"]: row for row in rows})


def stored_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_request_comes_back_as_it_was_written(log: InteractionLog) -> None:
    await log.write(request("r1"), [attempt(0), attempt(1, role="fallback", served=False)])
    row = await log.get("r1")
    assert {k: v for k, v in row.items() if k in request("r1")} == request("r1")
    assert row["liked"] is None
    first, second = row["attempts"]
    assert first["provider"] == "model-a"
    assert first["served"] is True
    assert first["revision"] == 0
    assert second["role"] == "fallback"


async def test_attempts_inherit_what_the_request_knows(log: InteractionLog) -> None:
    await log.write(request("r1", at=5.0, category="creative"), [attempt(), attempt(1, at=6.0)])
    first, second = (await log.get("r1"))["attempts"]
    assert (first["request_id"], first["category"], first["at"]) == ("r1", "creative", 5.0)
    assert second["at"] == 6.0


async def test_an_unknown_field_is_refused(log: InteractionLog) -> None:
    with pytest.raises(TypeError, match="has no field latencyms"):
        await log.write(request("r1", latencyms=3), [])
    with pytest.raises(TypeError, match="attempts has no field ttft"):
        await log.write(request("r1"), [attempt(ttft=3)])


async def test_writing_a_request_again_changes_nothing(log: InteractionLog) -> None:
    await log.write(request("r1", winner="first"), [attempt(provider="first")])
    await log.write(request("r1", winner="second"), [attempt(provider="second")])
    row = await log.get("r1")
    assert row["winner"] == "first"
    assert [a["provider"] for a in row["attempts"]] == ["first"]


async def test_a_late_primary_revises_its_row(log: InteractionLog) -> None:
    await log.write(request("r1"), [attempt(outcome="timed_out", served=False)])
    await log.revise(attempt(request_id="r1", at=1.0, outcome="late", revision=1, ttft_ms=4e3))
    assert [a["outcome"] for a in (await log.get("r1"))["attempts"]] == ["late"]


async def test_a_revision_may_come_before_the_first_row(log: InteractionLog) -> None:
    await log.revise(attempt(request_id="r1", at=1.0, outcome="late", revision=1))
    await log.write(request("r1"), [attempt(outcome="timed_out")])
    assert [a["outcome"] for a in (await log.get("r1"))["attempts"]] == ["late"]


async def test_an_older_revision_is_ignored(log: InteractionLog) -> None:
    await log.write(request("r1"), [attempt(outcome="late", revision=2)])
    await log.revise(attempt(request_id="r1", at=1.0, outcome="timed_out", revision=1))
    assert (await log.get("r1"))["attempts"][0]["outcome"] == "late"


async def test_feedback_replaces_feedback_and_can_be_withdrawn(log: InteractionLog) -> None:
    await log.write(request("r1"), [])
    for liked in (True, False, None):
        await log.feedback("r1", liked)
        assert (await log.get("r1"))["liked"] is liked


async def test_feedback_on_an_unknown_request_is_not_found(log: InteractionLog) -> None:
    with pytest.raises(NotFoundError, match="no request nobody"):
        await log.feedback("nobody", True)
    assert log.problem is None


async def test_recent_is_newest_first_and_can_be_narrowed(log: InteractionLog) -> None:
    for n, category in enumerate(["technical", "creative", "technical"]):
        await log.write(request(f"r{n}", at=float(n), category=category), [attempt()])
    assert [r["request_id"] for r in await log.recent()] == ["r2", "r1", "r0"]
    assert [r["request_id"] for r in await log.recent(1)] == ["r2"]
    assert [r["request_id"] for r in await log.recent(None, "technical")] == ["r2", "r0"]
    assert all(len(r["attempts"]) == 1 for r in await log.recent(None))


async def test_since_shows_writes_revisions_and_feedback_once_each(log: InteractionLog) -> None:
    await log.write(request("r1"), [attempt(outcome="timed_out")])
    await log.write(request("r2"), [attempt()])
    seen, cursor = await changes(log, None)
    assert set(seen) == {"r1", "r2"}
    seen, cursor = await changes(log, cursor)
    assert not seen
    await log.revise(attempt(request_id="r1", at=1.0, outcome="late", revision=1))
    seen, cursor = await changes(log, cursor)
    assert [a["outcome"] for a in seen["r1"]["attempts"]] == ["late"]
    await log.feedback("r2", False)
    seen, cursor = await changes(log, cursor)
    assert set(seen) == {"r2"}
    assert seen["r2"]["liked"] is False


async def test_since_pages_through_everything(log: InteractionLog) -> None:
    await asyncio.gather(*(log.write(request(f"r{n}"), [attempt()]) for n in range(40)))
    seen: list[str] = []
    rows, cursor = await log.since(None, limit=3)
    while rows:
        seen += [row["request_id"] for row in rows]
        rows, cursor = await log.since(cursor, limit=3)
    assert sorted(seen) == sorted(f"r{n}" for n in range(40))


async def test_replicas_see_each_other(database_url: str | None, tmp_path: Path) -> None:
    ours = InteractionLog.open(database_url, tmp_path)
    theirs = InteractionLog.open(database_url, tmp_path)
    _, cursor = await changes(ours, None)
    await theirs.write(request("r1"), [attempt()])
    seen, _ = await changes(ours, cursor)
    assert set(seen) == {"r1"}
    await ours.close()
    await theirs.close()


async def test_the_log_survives_a_restart(database_url: str | None, tmp_path: Path) -> None:
    log = InteractionLog.open(database_url, tmp_path)
    await log.write(request("r1"), [attempt()])
    await log.close()
    log = InteractionLog.open(database_url, tmp_path)
    assert (await log.get("r1"))["winner"] == "model-a"
    await log.close()


async def test_what_a_database_cannot_hold_is_cleaned(log: InteractionLog) -> None:
    await log.write(
        request("r1", evidence={"odd": "a\x00b\ud800"}, ttft_ms=float("nan")),
        [attempt(detail="cut\x00 \udfff", latency_ms=float("inf"))],
    )
    row = await log.get("r1")
    assert row["ttft_ms"] is None
    assert row["attempts"][0]["detail"] == "cut ?"


async def test_a_bad_row_does_not_take_its_neighbours_with_it(log: InteractionLog) -> None:
    poison = request("bad", latency_ms="not a number")
    results = await asyncio.gather(
        log.write(request("r1"), [attempt()]),
        log.write(poison, [attempt(tokens_in=2**80)]),
        log.write(request("r2"), [attempt()]),
        return_exceptions=True,
    )
    assert [isinstance(result, Exception) for result in results] == [False, True, False]
    assert {r["request_id"] for r in await log.recent()} == {"r1", "r2"}


async def test_costs_are_summed_by_provider_and_utc_day(log: InteractionLog) -> None:
    midnight = 20_000 * 86_400.0
    await log.write(
        request("r1", at=midnight + 5),
        [
            attempt(0, cost_usd=0.25),
            attempt(1, provider="model-b", cost_usd=0.5),
            attempt(2, provider="unknown", cost_usd=None),
        ],
    )
    await log.write(request("r2", at=midnight + 9), [attempt(cost_usd=0.25)])
    await log.write(request("r3", at=midnight - 1), [attempt(cost_usd=9.0)])
    assert await log.spent_today(midnight + 60) == {"model-a": 0.5, "model-b": 0.5}


async def test_audit_rows_come_newest_first(log: InteractionLog) -> None:
    await log.audit("trial", "model-x", {"verdict": "better", "pairs": 12})
    await log.audit("append", "model-x", {})
    await log.audit("append", "model-y", {})
    assert [a["subject"] for a in await log.audits("append")] == ["model-y", "model-x"]
    assert len(await log.audits(["append", "trial"])) == 3
    assert (await log.audits("trial", "model-x"))[0]["detail"] == {"verdict": "better", "pairs": 12}


async def test_a_hint_replaces_the_last_one(log: InteractionLog) -> None:
    await log.hint("breaker:model-a", {"state": "open"})
    await log.hint("breaker:model-a", {"state": "closed"})
    assert (await log.hints())["breaker:model-a"]["state"] == "closed"


async def test_closing_commits_what_is_queued(database_url: str | None, tmp_path: Path) -> None:
    log = InteractionLog.open(database_url, tmp_path)
    writes = [asyncio.ensure_future(log.write(request(f"r{n}"), [])) for n in range(50)]
    await asyncio.sleep(0)
    await log.close()
    await asyncio.gather(*writes)
    with pytest.raises(StorageError, match="closed"):
        await log.write(request("more"), [])
    with pytest.raises(StorageError, match="closed"):
        await log.recent()
    log = InteractionLog.open(database_url, tmp_path)
    assert len(await log.recent(None)) == 50
    await log.close()


async def test_a_caller_that_leaves_does_not_take_its_rows_back(log: InteractionLog) -> None:
    write = asyncio.ensure_future(log.write(request("r1"), [attempt()]))
    await asyncio.sleep(0)
    write.cancel()
    await log.write(request("r2"), [])
    assert {r["request_id"] for r in await log.recent()} == {"r1", "r2"}


@pytest.mark.parametrize("text", [False, True])
async def test_texts_are_stored_only_when_asked(tmp_path: Path, text: bool) -> None:
    log = InteractionLog.open(None, tmp_path, text=text)
    await log.write(
        request("r1", prompt="my secret", answer="your secret"), [attempt(text="a secret")]
    )
    row = await log.get("r1")
    assert (row.get("prompt") == "my secret") is text
    assert (row["attempts"][0].get("text") == "a secret") is text
    await log.close()
    assert (b"secret" in stored_bytes(tmp_path)) is text


async def test_rows_have_the_databases_time_whatever_the_clock_of_a_replica_says(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.database()
    right = InteractionLog.open(url, tmp_path / "right")
    wrong = InteractionLog.open(url, tmp_path / "wrong", clock=lambda: time.time() + 600)
    for log in (right, wrong):
        await log.position()  # as every start does
    assert abs(wrong.now() - right.now()) < 60
    assert right.clock_problem is None
    assert re.search(r"clock is \d\d\d s ahead of the database's", wrong.clock_problem or "")
    await wrong.audit("test", "wrong", {})
    await right.audit("test", "right", {})
    at: dict[str, float] = {}
    async with asyncio.timeout(30):
        while len(at) < 2:  # a row is only waited for a moment
            await asyncio.sleep(0.01)
            at = {row["subject"]: row["at"] for row in await right.audits("test")}
    assert abs(at["wrong"] - at["right"]) < 60
    for log in (right, wrong):
        await log.close()


async def test_what_several_replicas_note_is_there_once(log: InteractionLog) -> None:
    for _ in range(2):
        await log.audit("reranked", "technical", {"after": ["a"]}, "1")
    await log.audit("reranked", "technical", {"after": ["a"]}, "2")
    assert len(await log.audits("reranked")) == 2

"""SIGKILL under load loses no answer that a client has seen the end of."""

from __future__ import annotations

from pathlib import Path

from benchmarks.kill import run


async def test_killed_twice_under_load_the_log_holds_every_whole_answer(tmp_path: Path) -> None:
    tally = await run(tmp_path, rounds=2)
    assert tally.rounds == 2
    assert len(set(tally.whole)) == len(tally.whole) >= 32


async def test_killed_while_the_database_is_down_nothing_is_lost_either(tmp_path: Path) -> None:
    tally = await run(tmp_path, rounds=1, down=True)
    assert len(set(tally.whole)) == len(tally.whole) >= 16

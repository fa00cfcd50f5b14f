"""What the processes of one run have answered, on both databases."""

from __future__ import annotations

from batches.database import BatchDatabase
from batches.runs import PART, Run, new_run


def test_what_one_process_keeps_another_finds_by_its_place(database: BatchDatabase) -> None:
    name = new_run()
    here, there = Run(database, name), Run(database, name)
    here.keep({7: (b"seven", False), PART + 1: (b"later", True)})
    there.keep({7: (b"seven again", False)})
    assert there.kept(0, 2 * PART) == {7: b"seven", PART + 1: b"later"}
    assert there.kept(8, PART) == {}
    assert Run(database, new_run()).kept(0, 2 * PART) == {}


def test_errors_are_forgotten_to_be_tried_again_and_all_at_the_end(database: BatchDatabase) -> None:
    run = Run(database, new_run())
    run.keep({0: (b"answer", False), 1: (b"error", True)})
    run.forget(errors_only=True)
    assert run.kept(0, 9) == {0: b"answer"}
    run.forget()
    assert run.kept(0, 9) == {}


def test_what_nobody_resumes_is_removed_after_a_month(database: BatchDatabase) -> None:
    old, young = Run(database, "run-000000000001-a"), Run(database, new_run())
    for run in (old, young):
        run.keep({0: (b"answer", False)})
    young.forget_older()
    assert (old.kept(0, 0), young.kept(0, 0)) == ({}, {0: b"answer"})

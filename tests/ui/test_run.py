"""Frames: paced, complete at the end, and stopped at once."""

import asyncio
from contextlib import aclosing

import pytest

from config.errors import UsageError
from tests.ui.stories import begun, new_view, token
from ui.run import Run, Runs


async def stream(*events, then=None):
    for event in events:
        yield event
    if then is not None:
        await then()


async def collect(run):
    return [(view.text, view.phase) async for view in run.frames()]


async def test_the_last_frame_is_complete():
    run = Run(new_view(), stream(*begun(), token(20, "all ", "star"), token(21, "of it", "star")))
    frames = await collect(run)
    assert frames[-1][0] == "all of it"


async def test_many_tokens_become_few_frames():
    async def fast():
        for n in range(500):
            yield token(n, "x", "star")
            await asyncio.sleep(0)

    frames = await collect(Run(new_view(), fast()))
    assert frames[-1][0] == "x" * 500
    assert len(frames) < 50


async def test_stopping_a_silent_upstream_ends_it_and_keeps_what_was_said():
    closed = asyncio.Event()
    heard = asyncio.Event()

    async def silent():
        try:
            yield token(1, "half", "star")
            heard.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    run = Run(new_view(), silent())
    frames = asyncio.create_task(collect(run))
    await heard.wait()
    run.stop()
    assert (await frames)[-1] == ("half", "stopped")
    assert closed.is_set()


async def test_leaving_the_frames_closes_the_stream():
    closed = asyncio.Event()

    async def endless():
        try:
            while True:
                yield token(1, "x", "star")
                await asyncio.sleep(0)
        finally:
            closed.set()

    async with aclosing(Run(new_view(), endless()).frames()) as frames:
        await anext(frames)
    assert closed.is_set()


async def test_a_run_stopped_before_it_began_asks_nothing():
    run = Run(new_view(), stream(token(1, "never", "star")))
    run.stop()
    assert await collect(run) == [("", "stopped")]


async def test_an_expected_error_is_a_sentence():
    async def refuse():
        raise UsageError("the prompt is empty; send some text")

    run = Run(new_view(), stream(then=refuse))
    await collect(run)
    assert run.view.error == "the prompt is empty; send some text"


async def test_a_bug_is_raised_and_the_view_does_not_hang():
    async def crash():
        raise ValueError("secret detail")

    run = Run(new_view(), stream(then=crash))
    phases = []

    async def watch():
        async for view in run.frames():
            phases.append(view.phase)

    with pytest.raises(ValueError, match="secret"):
        await watch()
    assert phases[-1] == "failed"
    assert "secret" not in run.view.error


async def test_a_tab_that_asks_again_stops_its_first_request():
    runs = Runs()
    first, second = Run(new_view(), stream()), Run(new_view(), stream(token(1, "b", "star")))
    runs.begin("tab", first)
    runs.begin("tab", second)
    runs.end("tab", first)
    assert len(runs) == 1
    assert await collect(first) == [("", "stopped")]
    assert (await collect(second))[-1][0] == "b"

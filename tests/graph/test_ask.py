"""The synchronous door: notebooks and scripts, from any number of threads."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any

import pytest

from config.errors import UsageError
from graph.router import Router
from tests.conftest import SettingsFor


def test_threads_that_ask_at_once_share_one_event_loop(settings_for: SettingsFor) -> None:
    for _ in range(12):
        router = Router(settings_for())
        barrier = threading.Barrier(8)
        loops: list[asyncio.AbstractEventLoop] = []

        async def note(loops: list[asyncio.AbstractEventLoop] = loops) -> None:
            loops.append(asyncio.get_running_loop())

        def ask(router: Router = router, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            router.run(note)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        router.close()
        assert (len(loops), len(set(map(id, loops)))) == (8, 1)


@pytest.mark.parametrize(
    "asked", [{"prompt": "Half \udcff?"}, {"messages": [{"role": "user", "content": "\ud83d"}]}]
)
def test_text_that_is_not_unicode_is_refused_before_anyone_is_asked(
    settings_for: SettingsFor, asked: dict[str, Any]
) -> None:
    router = Router(settings_for())
    try:
        with pytest.raises(UsageError, match="lone surrogate"):
            router.run(partial(router.answer, **asked))
    finally:
        router.close()

"""A thread of the graph in a database of the host's: both turns, and what was chosen for one."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from graph.builder import build
from graph.router import Router
from tests.conftest import SettingsFor
from tests.upstream import Behaviour, Upstream


async def test_a_thread_is_remembered_in_a_database(
    database_url: str | None, settings_for: SettingsFor, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.behave("first", Behaviour(text="It scatters."))
    saver: AbstractAsyncContextManager[Any]
    if database_url is None:
        saver = AsyncSqliteSaver.from_conn_string(str(tmp_path / "threads.db"))
    else:
        plain = database_url.replace("postgresql+psycopg://", "postgresql://")
        saver = AsyncPostgresSaver.from_conn_string(plain)
    async with saver as opened, Router(settings_for(upstream)) as router:
        await opened.setup()
        graph = build(router.services)
        graph.checkpointer = opened
        thread: Any = {"configurable": {"thread_id": "1"}}
        await graph.ainvoke({"prompt": "Why is the sky blue?"}, thread)
        state = await graph.ainvoke({"prompt": "And at night?"}, thread)
    assert [m.type for m in state["messages"]] == ["human", "ai", "human", "ai"]
    asked = upstream.calls("first")[-1].body["messages"]
    assert [m["content"] for m in asked] == [
        "Why is the sky blue?",
        "It scatters.",
        "And at night?",
    ]

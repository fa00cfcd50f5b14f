"""The search for a better model on LangGraph's server, on threads of the server's own."""

from __future__ import annotations

from typing import Any

import yaml
from langgraph_sdk import get_client

from strangers.langgraph_dev.conftest import ANSWER, Server
from tests.upstream import Behaviour

NEW = "meta-llama/Llama-3.3-70B-Instruct"


async def test_a_search_asks_and_goes_on_in_a_thread_of_the_server(server: Server) -> None:
    server.upstream.behave(NEW, Behaviour(text=ANSWER))
    client = get_client(url=server.url)
    thread = (await client.threads.create())["thread_id"]
    given = {"category": "technical", "candidate": NEW}
    asked: Any = await client.runs.wait(thread, "scout", input=given)
    assert "__interrupt__" in asked, (asked, server.said()[-3000:])
    question = asked["__interrupt__"][0]["value"]
    assert question["entry"]["model"] == NEW
    assert question["evidence"]["reason"]
    assert NEW not in _models(server)
    state: Any = await client.runs.wait(thread, "scout", command={"resume": {"share": 0.1}})
    assert state["outcome"] == "on trial", state
    assert _models(server)[NEW] == {"share": 0.1}
    assert "BlockingError" not in server.said()
    assert not (server.clone / "data" / "scout" / "threads.db").exists()


async def test_a_person_who_refuses_changes_nothing(server: Server) -> None:
    other = "meta-llama/Llama-4-Maverick-17B-128E-Instruct"
    server.upstream.behave(other, Behaviour(text=ANSWER))
    client = get_client(url=server.url)
    thread = (await client.threads.create())["thread_id"]
    given = {"category": "creative", "candidate": other}
    await client.runs.wait(thread, "scout", input=given)
    state: Any = await client.runs.wait(thread, "scout", command={"resume": False})
    assert state["outcome"] == "refused", state
    assert other not in _models(server)


async def test_a_search_without_a_category_is_one_clear_error(server: Server) -> None:
    client = get_client(url=server.url)
    ended: Any = await client.runs.wait(None, "scout", input={}, raise_error=False)
    assert "`category`" in ended["__error__"]["message"], ended


def _models(server: Server) -> dict[str, Any]:
    """By model, the trial of its entry."""
    written = yaml.safe_load((server.clone / "config" / "providers.yaml").read_text())
    return {entry["model"]: entry.get("trial") for entry in written["providers"]}

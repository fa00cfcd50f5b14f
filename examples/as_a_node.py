"""The router as a node of another graph: `messages` in and out, in the host's own thread."""

from __future__ import annotations

import asyncio
import sys

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graph.router import Router


def shorten(state: MessagesState) -> MessagesState:
    """Something of the host's own that follows the answer."""
    last = state["messages"][-1]
    return {"messages": [last.model_copy(update={"content": last.text[:200]})]}


def graph_with(router: Router) -> CompiledStateGraph[MessagesState, None, MessagesState]:
    graph = StateGraph(MessagesState)
    graph.add_node("answer", router.graph)
    graph.add_node("shorten", shorten)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", "shorten")
    graph.add_edge("shorten", END)
    return graph.compile(checkpointer=InMemorySaver())


async def main(config: str = "config", data: str = "data") -> None:
    async with Router.from_config(config, data) as router:
        given = {"messages": [HumanMessage("Why is the sky blue?")]}
        state = await graph_with(router).ainvoke(given, {"configurable": {"thread_id": "1"}})
        print(state["messages"][-1].text)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

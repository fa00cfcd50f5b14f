"""An agent with a tool in LangGraph, over whichever model the router chooses.

python -m examples.agent_langgraph "What is the weather in Lisbon?"
"""

from __future__ import annotations

import sys

from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from graph.chat_model import ChatRouter


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"22 degrees and sunny in {city}"


def answer(question: str, model: ChatRouter) -> str:
    asked = model.bind_tools([get_weather])
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [asked.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([get_weather]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    done = graph.compile().invoke({"messages": [("user", question)]})
    return str(done["messages"][-1].content)


if __name__ == "__main__":
    print(answer(sys.argv[1], ChatRouter(base_url="http://127.0.0.1:7860")))

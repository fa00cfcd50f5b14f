"""The graph for LangGraph Studio: `langgraph dev` reads `langgraph.json`, which names `router`."""

from __future__ import annotations

from config.environment import quiet
from graph.builder import Graph


def router() -> Graph:
    """The bare graph over the shipped configuration; it takes `{"prompt": "…"}`."""
    quiet()
    from graph.router import Router

    return Router.from_config("config", "data").graph

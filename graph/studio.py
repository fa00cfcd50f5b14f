"""The graphs for LangGraph's own server: `langgraph dev` reads `langgraph.json`, which names them.

They are compiled when this module is imported, for a server takes a function for a factory and
calls it for every request, on its event loop. Nothing is opened by that: what blocks (files,
models, the log) is opened by the first run, in a thread, once for the process.
"""

from __future__ import annotations

from pathlib import Path

from config.environment import quiet
from graph.builder import assemble
from graph.hosted import Hosted
from graph.scout import build_scout

ROOT = Path(__file__).parent.parent

quiet()
hosted = Hosted(ROOT / "config", ROOT / "data", ROOT / ".env")
router = assemble(hosted.bound)
scout = build_scout(hosted.search)

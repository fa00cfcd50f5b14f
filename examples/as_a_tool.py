"""The router as a tool that an agent may call: the question in, the answer with its source out."""

from __future__ import annotations

import asyncio
import sys

from langchain_core.tools import BaseTool, tool

from graph.router import Router


def tool_of(router: Router) -> BaseTool:
    @tool
    async def ask_the_router(question: str) -> str:
        """Answer a question with the model that is best for its category."""
        answer = await router.answer(question)
        return f"{answer.text}\n({answer.provider}, {answer.category})"

    return ask_the_router


async def main(config: str = "config", data: str = "data") -> None:
    async with Router.from_config(config, data) as router:
        print(await tool_of(router).ainvoke({"question": "Why is the sky blue?"}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

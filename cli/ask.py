"""`--ask`: one answer on stdout, its trace on stderr."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import aclosing

from config.redaction import json_text
from graph.router import Router
from race.events import Event
from race.state import Answer


def run(args: argparse.Namespace) -> int:
    return asyncio.run(_ask(args))


async def _ask(args: argparse.Namespace) -> int:
    router = Router.from_config(args.config, args.data)
    try:
        await router.start()  # the question's clock starts once the router is ready
        answer = await (_whole(router, args.ask) if args.json else _streamed(router, args.ask))
    finally:
        await router.aclose(late_grace_s=0)
    if not answer.success:
        print(f"error: {answer.error}", file=sys.stderr)
    return 0 if answer.success else 1


async def _whole(router: Router, prompt: str) -> Answer:
    answer = await _events(router, prompt, rewindable=True, on_event=lambda event: None)
    print(json_text(json.dumps(answer.as_dict(), ensure_ascii=False)))
    return answer


async def _streamed(router: Router, prompt: str) -> Answer:
    """Text on the terminal cannot be withdrawn, so a fallback continues it."""
    trace = _Trace()
    answer = await _events(router, prompt, rewindable=False, on_event=trace.show)
    trace.end()
    if answer.success:
        cost = "unknown" if answer.cost_usd is None else f"${answer.cost_usd:.6f}"
        took = f"{answer.latency_ms / 1000:.2f} s"
        trace.line(f"{answer.provider} ({answer.role}) answered in {took}, cost {cost}")
    for source in answer.sources:
        trace.line(f"source: {source['title']} ({source['source']})")
    if answer.note:
        trace.line(answer.note)
    return answer


async def _events(
    router: Router, prompt: str, *, rewindable: bool, on_event: Callable[[Event], None]
) -> Answer:
    answer: Answer | None = None
    async with aclosing(router.stream(prompt, rewindable=rewindable)) as events:
        async for event in events:
            on_event(event)
            if event["type"] == "answered":
                answer = Answer.from_dict(event["answer"])
    assert answer is not None
    return answer


class _Trace:
    """Writes the answer as it comes; trace lines never interrupt a line of it."""

    def __init__(self) -> None:
        self._speaking = False
        self._waiting: list[str] = []

    def show(self, event: Event) -> None:
        match event["type"]:
            case "token":
                self._speaking = True
                sys.stdout.write(event["text"])
                sys.stdout.flush()
            case "classified":
                self.line(f"category {event['category']} ({event['confidence']:.2f})")
            case "attempt_started":
                mark = " [simulation]" if event["simulated"] else ""
                self.line(f"{event['role']}: {event['provider']} asked{mark}")
            case "attempt_ended":
                detail = f": {event['detail']}" if event["detail"] else ""
                self.line(f"{event['role']}: {event['provider']} {event['outcome']}{detail}")
            case "switched":
                self.line(f"{event['provider']} speaks ({event['reason']})")

    def line(self, text: str) -> None:
        self._waiting.append(f"· {text}")
        if not self._speaking:
            self._flush()

    def end(self) -> None:
        """The answer is over."""
        if self._speaking:
            print(flush=True)
        self._speaking = False
        self._flush()

    def _flush(self) -> None:
        for line in self._waiting:
            print(line, file=sys.stderr)
        self._waiting.clear()

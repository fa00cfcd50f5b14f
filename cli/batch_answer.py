"""One line of `--batch`, answered: a prompt, or a request in OpenAI's batch form."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from api.bulk import Bulk
from api.server import create_app
from cli.batch_file import Item, Line
from config.errors import ConfigError, NoAnswerError, RouterError, StorageError
from graph.router import Router
from race.state import Answer


class Answering:
    """A router and its service, open in between `async with`; both forms of a line pass here."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._stack = AsyncExitStack()
        self._bulk: Bulk | None = None

    async def __aenter__(self) -> Self:
        service = create_app(self._router, batches=False)
        await self._stack.enter_async_context(service.router.lifespan_context(service))
        keys = self._router.settings.environment.api_keys
        self._bulk = Bulk(service, keys[0].get_secret_value() if keys else None)
        self._stack.push_async_callback(self._bulk.close)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def answer(self, item: Item) -> Line:
        """The line's result, an error included; raises what concerns every line."""
        if item.request is not None:
            assert self._bulk is not None
            return dict(await self._bulk.answer(item.request))
        return await _answer(self._router, item)


async def _answer(router: Router, item: Item) -> Line:
    """One line of the output; a prompt that fails is a line with its error."""
    line: Line = {"line": item.line, "id": item.id, "prompt": item.prompt}
    if item.problem:
        return {**line, **_NOTHING, "error": item.problem}
    try:
        answer = await router.answer(item.prompt, category=item.category)
    except NoAnswerError as error:
        said = error.answer if isinstance(error.answer, Answer) else None
        return {**line, **(_figures(said) if said else _NOTHING), "error": str(error)}
    except (ConfigError, StorageError):
        raise
    except RouterError as error:
        return {**line, **_NOTHING, "error": str(error)}
    return {**line, **_figures(answer), "error": None}


_NOTHING: Line = dict.fromkeys(
    ("category", "confidence", "answer", "provider", "role", "request_id", "latency_ms", "cost_usd")
)


def _figures(answer: Answer) -> Line:
    return {
        "category": answer.category,
        "confidence": round(answer.confidence, 4),
        "answer": answer.text,
        "provider": answer.provider,
        "role": answer.role,
        "request_id": answer.request_id,
        "latency_ms": answer.latency_ms,
        "ttft_ms": answer.ttft_ms,
        "cost_usd": answer.cost_usd,
        "attempts": len(answer.attempts),
        "sources": [source["source"] for source in answer.sources],
        "note": answer.note,
    }

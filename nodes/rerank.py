"""Check the category's order again, because something changed."""

from __future__ import annotations

import structlog

from config.errors import StorageError
from race.events import Reranked
from race.request import Request
from race.routing_state import once_of
from race.services import Services
from race.state import OrderChange, State

logger = structlog.get_logger()


async def rerank(state: State, services: Services, request: Request) -> State:
    """Recompute the order of this request's category; a change is an event and an audit row."""
    category, meeting = request.routed["category"], request.meeting
    change = services.routing.rerank(category)
    if change is None:
        return {"reranked": None}
    change_of_order = OrderChange(
        category=category, before=list(change.before), after=list(change.after), why=change.why
    )
    try:
        await services.log.audit("reranked", category, change_of_order, once_of(change))
    except StorageError as error:
        logger.error("log_failed", request=request.request_id, error=str(error))
    meeting.emit_after(
        Reranked(
            type="reranked",
            request_id=meeting.request_id,
            at_ms=meeting.elapsed_ms(),
            **change_of_order,
        )
    )
    return {"reranked": change_of_order}

"""Look at the category's order again, because something happened."""

from __future__ import annotations

import structlog

from config.errors import StorageError
from race.rendezvous import Rendezvous
from race.services import Services
from race.state import State

logger = structlog.get_logger()


async def rerank(state: State, services: Services, r: Rendezvous) -> State:
    """Recompute the order of this request's category; a change is an event and an audit row."""
    category = state["route"]["category"]
    change = services.routing.rerank(category)
    if change is None:
        return {"reranked": None}
    told = {
        "category": category,
        "before": list(change.before),
        "after": list(change.after),
        "why": change.why,
    }
    try:
        await services.log.audit("reranked", category, told)
    except StorageError as error:
        logger.error("log_failed", request=r.request_id, error=str(error))
    r.emit_after("reranked", **told)
    return {"reranked": told}

"""`/v1/batches`: files of requests that are answered behind all others, for OpenAI's clients."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field, ValidationError
from sqlalchemy import RowMapping

from api.access import Keys
from api.batch_worker import BatchStore
from api.bulk import ROUTES
from api.errors import invalid
from api.files import DAY_S, check_limit, keep_of, listed
from api.openapi import Documented, body_of, errors
from api.parsing import read_json, refusal
from api.wire import Id, Wire
from batches.store import Counts, Order
from batches.tables import TIMES
from config.models import Batch
from graph.router import Router

MOST_LISTED = 100
MOST_PAIRS, MOST_KEY, MOST_VALUE = 16, 64, 512
UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": DAY_S}
LONGEST_S = 14 * DAY_S


class BatchRequest(Wire):
    """OpenAI's request for a batch."""

    input_file_id: Id = Field(max_length=256)
    endpoint: str = Field(max_length=256, description=f"One of {', '.join(ROUTES)}.")
    completion_window: str = Field(
        max_length=16, description="`24h` as at OpenAI, or any number of s, m, h or d up to 14d."
    )
    metadata: dict[str, str] | None = None
    output_expires_after: dict[str, Any] | None = None


class BatchCounts(Documented):
    total: int
    completed: int
    failed: int


class BatchMistake(Documented):
    code: str
    line: int | None
    message: str
    param: str | None


class BatchMistakes(Documented):
    object: Literal["list"]
    data: list[BatchMistake]


class BatchObject(Documented):
    id: str
    object: Literal["batch"]
    endpoint: str
    completion_window: str
    status: Literal[
        "validating",
        "failed",
        "in_progress",
        "finalizing",
        "completed",
        "expired",
        "cancelling",
        "cancelled",
    ]
    input_file_id: str
    output_file_id: str | None
    error_file_id: str | None
    errors: BatchMistakes | None
    created_at: int
    expires_at: int
    in_progress_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: BatchCounts
    metadata: dict[str, str] | None


class BatchList(Documented):
    object: Literal["list"]
    data: list[BatchObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


def batch_routes(router: Router, store: BatchStore, keys: Keys) -> APIRouter:
    routes = APIRouter()

    @routes.post(
        "/v1/batches",
        operation_id="createBatch",
        response_model=BatchObject,
        responses=errors(400, 408, 413, 503),
        openapi_extra=body_of(BatchRequest),
    )
    async def create_batch(request: Request) -> dict[str, object]:
        """Answer the requests of a file; they start once the file was checked."""
        body = await read_json(request)
        order = _order(body, keys.owner(request), router.settings.batch)
        row = await store.ask(store.batches.create, order)
        store.left.set()
        return shown(row, {"total": 0, "completed": 0, "failed": 0})

    @routes.get(
        "/v1/batches",
        operation_id="listBatches",
        response_model=BatchList,
        responses=errors(400, 404),
    )
    async def list_batches(
        request: Request, limit: int = 20, after: str | None = None
    ) -> dict[str, object]:
        """The batches of this key, newest first."""
        check_limit(limit, MOST_LISTED)
        rows, more = await store.ask(store.batches.page, keys.owner(request), limit, after)
        return listed([shown(*row) for row in rows], more)

    @routes.get(
        "/v1/batches/{batch_id}",
        operation_id="retrieveBatch",
        response_model=BatchObject,
        responses=errors(404),
    )
    async def retrieve_batch(request: Request, batch_id: str) -> dict[str, object]:
        """The batch's progress."""
        return shown(*await store.ask(store.batches.get, keys.owner(request), batch_id))

    @routes.post(
        "/v1/batches/{batch_id}/cancel",
        operation_id="cancelBatch",
        response_model=BatchObject,
        responses=errors(400, 404),
    )
    async def cancel_batch(request: Request, batch_id: str) -> dict[str, object]:
        """Send no further lines; results so far are kept."""
        row = await store.ask(store.batches.cancel, keys.owner(request), batch_id)
        store.left.set()
        return shown(*row)

    return routes


def _order(body: dict[str, object], owner: str, limits: Batch) -> Order:
    """Raises RefusedError that names the first invalid parameter."""
    try:
        asked = BatchRequest.model_validate(body)
    except ValidationError as error:
        raise refusal(error.errors(include_url=False)) from None
    if asked.endpoint not in ROUTES:
        message = f"`endpoint` is not one of {', '.join(ROUTES)}"
        raise invalid(message, "endpoint", "invalid_value")
    _check_metadata(asked.metadata or {})
    return Order(
        owner=owner,
        endpoint=asked.endpoint,
        input_file_id=asked.input_file_id,
        completion_window=asked.completion_window,
        window_s=_window(asked.completion_window),
        keep_s=keep_of(asked.output_expires_after, limits, "output_expires_after"),
        metadata=asked.metadata,
    )


def _window(given: str) -> float:
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", given)
    seconds = int(found[1]) * UNITS[found[2]] if found else 0.0
    if not 0 < seconds <= LONGEST_S:
        message = "`completion_window` is a number of s, m, h or d up to 14d, such as `24h`"
        raise invalid(message, "completion_window", "invalid_value")
    return seconds


def _check_metadata(pairs: dict[str, str]) -> None:
    long = any(len(k) > MOST_KEY or len(v) > MOST_VALUE for k, v in pairs.items())
    if len(pairs) > MOST_PAIRS or long:
        message = (
            f"`metadata` has at most {MOST_PAIRS} pairs, of {MOST_KEY} and {MOST_VALUE} characters"
        )
        raise invalid(message, "metadata", "invalid_value")


def shown(row: RowMapping, counts: Counts) -> dict[str, object]:
    """A batch in the form that OpenAI's clients expect."""
    mistakes, pairs = row["errors"], row["metadata"]
    times = {name: None if row[name] is None else int(row[name]) for name in TIMES}
    return {
        "id": row["id"],
        "object": "batch",
        "endpoint": row["endpoint"],
        "errors": mistakes and {"object": "list", "data": json.loads(mistakes)},
        "input_file_id": row["input_file_id"],
        "completion_window": row["completion_window"],
        "status": row["status"],
        "output_file_id": row["output_file_id"],
        "error_file_id": row["error_file_id"],
        "created_at": int(row["created_at"]),
        "expires_at": int(row["expires_at"]),
        **times,
        "request_counts": counts,
        "metadata": pairs and json.loads(pairs),
    }

"""`/v1/files`: input files of batches, and their results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Literal

from fastapi import APIRouter, Request
from sqlalchemy import RowMapping
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from api.access import Keys
from api.batch_worker import BatchStore
from api.errors import Problem, RefusedError, invalid, too_many
from api.openapi import Documented, errors
from batches.files import INPUT, Upload
from config.models import Batch
from graph.router import Router
from web.body import DRAIN_BYTES, LARGE_BYTES, declared_bytes

SILENCE_S = 30.0
"""How long, in seconds, an upload may send nothing."""
FIELD_BYTES = 64 * 2**10
MOST_LISTED = 10_000
DAY_S = 86_400.0
SHORTEST_S, LONGEST_S = 3_600.0, 30 * DAY_S
"""Allowed values of `expires_after`, as at OpenAI."""
NAME = 255


class FileObject(Documented):
    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"]


class FileList(Documented):
    object: Literal["list"]
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(Documented):
    id: str
    object: Literal["file"]
    deleted: bool


UPLOAD: dict[str, object] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": [INPUT]},
                    },
                }
            }
        },
    }
}


def file_routes(router: Router, store: BatchStore, keys: Keys) -> APIRouter:
    routes = APIRouter()

    @routes.post(
        "/v1/files",
        operation_id="createFile",
        response_model=FileObject,
        responses=errors(400, 408, 413, 429, 503),
        openapi_extra=UPLOAD,
    )
    async def create_file(request: Request) -> dict[str, object]:
        """Store a file of requests, one on each line, for a batch."""
        limits = router.settings.batch
        form = await _form(request, limits)
        try:
            upload, source = _upload(form, keys.owner(request), limits)
            return shown(await store.run(store.files.add, upload, source.file))
        finally:
            await form.close()

    @routes.get(
        "/v1/files", operation_id="listFiles", response_model=FileList, responses=errors(400, 404)
    )
    async def list_files(
        request: Request,
        purpose: str | None = None,
        limit: int = MOST_LISTED,
        after: str | None = None,
        order: Literal["asc", "desc"] = "desc",
    ) -> dict[str, object]:
        """The files of this key, newest first."""
        check_limit(limit, MOST_LISTED)
        page = store.files.page
        owner, newest = keys.owner(request), order == "desc"
        rows, more = await store.ask(page, owner, purpose, limit, after, newest=newest)
        return listed([shown(row) for row in rows], more)

    @routes.get(
        "/v1/files/{file_id}",
        operation_id="retrieveFile",
        response_model=FileObject,
        responses=errors(404),
    )
    async def retrieve_file(request: Request, file_id: str) -> dict[str, object]:
        """A file's metadata."""
        return shown(await store.ask(store.files.get, keys.owner(request), file_id))

    @routes.delete(
        "/v1/files/{file_id}",
        operation_id="deleteFile",
        response_model=FileDeleted,
        responses=errors(400, 404),
    )
    async def delete_file(request: Request, file_id: str) -> dict[str, object]:
        """Delete a file; refused while a batch reads it."""
        await store.ask(store.files.delete, keys.owner(request), file_id)
        return {"id": file_id, "object": "file", "deleted": True}

    @routes.get("/v1/files/{file_id}/content", operation_id="downloadFile", responses=errors(404))
    async def download_file(request: Request, file_id: str) -> Response:
        """The file itself, streamed as it is read."""
        row = await store.ask(store.files.get, keys.owner(request), file_id)
        headers = {"content-length": str(row["bytes"])}
        return StreamingResponse(
            _pieces(store, row), headers=headers, media_type="application/octet-stream"
        )

    return routes


async def _pieces(store: BatchStore, row: RowMapping) -> AsyncIterator[bytes]:
    pieces = store.files.pieces(row)
    while (piece := await store.run(next, pieces, None)) is not None:
        yield piece


async def _form(request: Request, limits: Batch) -> FormData:
    """The fields of an upload; a large file is on disk. Raises RefusedError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise invalid("send the file as `multipart/form-data`, with `purpose` and `file`")
    most = int(limits.file_mb * 2**20)
    parser = MultiPartParser(
        request.headers,
        _bounded(request, most + FIELD_BYTES, limits),
        max_files=1,
        max_fields=20,
        max_part_size=FIELD_BYTES,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise invalid(f"the upload cannot be read: {error.message}") from None
    except UnicodeError:
        raise invalid("the upload cannot be read: its `charset` does not fit its text") from None
    except ClientDisconnect:
        raise invalid("the client left before its upload was complete") from None


async def _bounded(request: Request, most: int, limits: Batch) -> AsyncGenerator[bytes]:
    """The body as it comes, bounded in size and in pauses."""
    stream, size, declared = request.stream(), 0, declared_bytes(request)
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                chunk = await anext(stream, None)
        except TimeoutError:
            message = f"the upload was silent for {SILENCE_S:g} s"
            raise RefusedError(Problem(408, message, code="request_timeout")) from None
        if chunk is None:
            return
        before, size = size, size + len(chunk)
        if size > most or declared > most:
            async for more in stream:
                size += len(more)
                if max(size, declared) > most + DRAIN_BYTES:
                    break
            raise _too_large(limits)
        if before <= LARGE_BYTES < size and not request.state.may_be_large():
            message = "too many large bodies at once; try again in a moment"
            raise RefusedError(too_many(message, 1.0, code="overloaded"))
        yield chunk


def _too_large(limits: Batch) -> RefusedError:
    message = f"a file may have {limits.file_mb:g} MB (`batch.file_mb`)"
    headers = {"connection": "close"}
    return RefusedError(Problem(413, message, code="request_too_large", headers=headers))


def _upload(form: FormData, owner: str, limits: Batch) -> tuple[Upload, UploadFile]:
    """What to store; raises RefusedError that names the invalid field."""
    purpose, source = form.get("purpose"), form.get("file")
    if purpose != INPUT:
        given = "is missing" if purpose is None else f"is {str(purpose)[:40]!r}"
        raise invalid(f"`purpose` {given}: files are taken for `{INPUT}` alone", "purpose")
    if not isinstance(source, UploadFile):
        raise invalid("`file` is missing", "file", "missing_required_parameter")
    expires_after = {name: form.get(f"expires_after[{name}]") for name in ("anchor", "seconds")}
    named = any(value is not None for value in expires_after.values())
    keep_s = keep_of(expires_after if named else None, limits, "expires_after")
    name = (source.filename or "upload.jsonl").replace("\x00", "")[-NAME:]
    name = name.encode("utf-8", "replace").decode()  # half of a surrogate pair cannot be stored
    return Upload(owner, name, INPUT, keep_s, int(limits.stored_mb * 2**20)), source


def keep_of(given: Mapping[str, object] | None, limits: Batch, param: str) -> float:
    """How long to keep a file, in seconds; raises RefusedError for an invalid value."""
    if given is None:
        return limits.keep_days * DAY_S
    try:
        seconds = float(str(given.get("seconds")))
    except ValueError:
        seconds = 0.0
    if given.get("anchor") != "created_at" or not SHORTEST_S <= seconds <= LONGEST_S:
        raise invalid(
            f"`{param}` takes the anchor `created_at` and {SHORTEST_S:.0f} to {LONGEST_S:.0f}"
            " seconds",
            param,
            "invalid_value",
        )
    return seconds


def shown(row: RowMapping) -> dict[str, object]:
    """A file in the form that OpenAI's clients expect."""
    return {
        "id": row["id"],
        "object": "file",
        "bytes": row["bytes"],
        "created_at": int(row["created_at"]),
        "expires_at": int(row["expires_at"]),
        "filename": row["filename"],
        "purpose": row["purpose"],
        "status": row["status"],
        "status_details": None,
    }


def listed(data: list[dict[str, object]], more: bool) -> dict[str, object]:
    """A page of a list."""
    ends = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {
        "object": "list",
        "data": data,
        "first_id": ends[0],
        "last_id": ends[1],
        "has_more": more,
    }


def check_limit(limit: int, most: int) -> None:
    if not 1 <= limit <= most:
        raise invalid(f"`limit` is not between 1 and {most}", "limit", "invalid_value")

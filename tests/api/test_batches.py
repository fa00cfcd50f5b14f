"""Files and batches as the official client uses them."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.api.conftest import Make, Serve, Service
from tests.upstream import Behaviour, Upstream

CHAT = "/v1/chat/completions"


def line(name: str, url: str = CHAT, **body: Any) -> dict[str, Any]:
    asked = {"model": "auto", "messages": [{"role": "user", "content": f"Say {name}."}], **body}
    return {"custom_id": name, "method": "POST", "url": url, "body": asked}


def jsonl(lines: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in lines).encode()


async def leave(
    client: openai.AsyncOpenAI, data: bytes, window: str = "24h", endpoint: str = CHAT, **how: Any
) -> Any:
    file = await client.files.create(file=("in.jsonl", data), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id,
        endpoint=endpoint,  # type: ignore[arg-type]
        completion_window=window,  # type: ignore[arg-type]
        **how,
    )


async def until(
    client: openai.AsyncOpenAI, batch_id: str, is_there: Callable[[Any], bool] | None = None
) -> Any:
    """The batch, once it has ended or is as wanted."""
    async with asyncio.timeout(60):
        while True:
            batch = await client.batches.retrieve(batch_id)
            ended = batch.status in ("completed", "failed", "expired", "cancelled")
            if ended if is_there is None else is_there(batch):
                return batch
            await asyncio.sleep(0.02)


async def read(client: openai.AsyncOpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    content = await client.files.content(file_id)
    return [json.loads(raw) for raw in content.text.splitlines()]


async def test_a_batch_is_answered_and_its_results_stand_in_input_order(
    client: openai.AsyncOpenAI,
) -> None:
    names = [f"n{i}" for i in range(60)]
    batch = await leave(client, jsonl(line(n) for n in names), metadata={"of": "me"})
    assert batch.status == "validating"
    done = await until(client, batch.id)
    assert (done.status, done.metadata, done.errors) == ("completed", {"of": "me"}, None)
    assert done.request_counts.model_dump() == {"total": 60, "completed": 60, "failed": 0}
    assert done.error_file_id is None
    found = await read(client, done.output_file_id)
    assert [one["custom_id"] for one in found] == names
    assert {one["response"]["status_code"] for one in found} == {200}
    assert found[0]["response"]["body"]["object"] == "chat.completion"
    output = await client.files.retrieve(done.output_file_id)
    assert output.purpose == "batch_output"
    assert output.bytes == len((await client.files.content(output.id)).content)


async def test_lines_that_fail_stand_in_the_error_file(
    client: openai.AsyncOpenAI, service: Service
) -> None:
    lines = [line("good"), line("bad", temperature="hot"), line("better")]
    done = await until(client, (await leave(client, jsonl(lines))).id)
    assert done.status == "completed"
    assert done.request_counts.model_dump() == {"total": 3, "completed": 2, "failed": 1}
    assert [o["custom_id"] for o in await read(client, done.output_file_id)] == ["good", "better"]
    (error,) = await read(client, done.error_file_id)
    assert (error["custom_id"], error["response"]["status_code"]) == ("bad", 400)
    metrics = (await service.http.get("/metrics")).text.splitlines()
    assert 'router_batch_lines_total{result="completed"} 2.0' in metrics
    assert 'router_batch_lines_total{result="failed"} 1.0' in metrics


@pytest.mark.parametrize(
    ("url", "body", "kind"),
    [
        ("/v1/completions", {"prompt": "Well?"}, "text_completion"),
        ("/v1/responses", {"input": "Well?"}, "response"),
        ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}, None),
        ("/v1/embeddings", {"input": "Well?"}, "list"),
    ],
)
async def test_every_dialect_may_be_asked(
    client: openai.AsyncOpenAI, url: str, body: dict[str, Any], kind: str | None
) -> None:
    asked = {"custom_id": "one", "method": "POST", "url": url, "body": {"model": "auto", **body}}
    done = await until(client, (await leave(client, jsonl([asked]), endpoint=url)).id)
    (found,) = await read(client, done.output_file_id)
    assert found["response"]["body"].get("object") == kind


async def test_a_wrong_file_fails_with_the_lines_that_are_wrong(client: openai.AsyncOpenAI) -> None:
    lines = [
        json.dumps(line("a")).encode(),
        b"",
        b"{",
        json.dumps(line("a")).encode(),
        json.dumps(line("b", url="/v1/embeddings")).encode(),
        json.dumps(line("c", stream=True)).encode(),
        b'{"custom_id": "d", "method": "POST", "url": "/v1/chat/completions", "body": {"n": NaN}}',
        json.dumps(line("half a pair \ud83d")).encode(),
    ]
    failed = await until(client, (await leave(client, b"\n".join(lines))).id)
    assert failed.status == "failed"
    assert failed.errors is not None
    assert failed.errors.data is not None
    assert [(e.line, e.code) for e in failed.errors.data] == [
        (3, "invalid_json_line"),
        (4, "duplicate_custom_id"),
        (5, "mismatched_endpoint"),
        (6, "invalid_request"),
        (7, "invalid_json_line"),
        (8, "invalid_json_line"),
    ]
    assert "surrogate" in failed.errors.data[-1].message
    assert failed.output_file_id is None


@pytest.mark.parametrize("depth", [300, 990, 1_100])
async def test_a_line_too_deep_to_send_fails_its_file_and_stops_no_other(
    client: openai.AsyncOpenAI, depth: int
) -> None:
    deep = json.dumps(line("deep", user="HERE")).replace('"HERE"', "[" * depth + "]" * depth)
    failed = await until(client, (await leave(client, deep.encode())).id)
    assert failed.status == "failed"
    assert [e.line for e in failed.errors.data] == [1]
    done = await until(client, (await leave(client, jsonl([line("a")]))).id)
    assert done.status == "completed"


async def test_a_file_of_blank_lines_fails(client: openai.AsyncOpenAI) -> None:
    failed = await until(client, (await leave(client, b"\n\r\n  \n")).id)
    assert failed.errors.data[0].code == "empty_file"


async def test_a_file_comes_back_as_it_was_left(client: openai.AsyncOpenAI) -> None:
    data = b"\xef\xbb\xbf" + jsonl(line(f"n{i}") for i in range(30)).replace(b"\n", b"\r\n\r\n")
    file = await client.files.create(file=("ü.jsonl", data), purpose="batch")
    assert (file.bytes, file.filename, file.status) == (len(data), "ü.jsonl", "processed")
    assert (await client.files.content(file.id)).content == data
    batch = await client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h"
    )
    done = await until(client, batch.id)
    assert done.request_counts.completed == 30


async def test_files_are_listed_by_age_and_page_by_page(client: openai.AsyncOpenAI) -> None:
    made = [
        (await client.files.create(file=(f"{i}.jsonl", b"{}"), purpose="batch")).id
        for i in range(5)
    ]
    newest = [file.id async for file in await client.files.list(limit=2)]
    oldest = [file.id async for file in await client.files.list(limit=2, order="asc")]
    assert (newest, oldest) == (made[::-1], made)
    assert [f.id async for f in await client.files.list(purpose="batch_output")] == []
    assert (await client.files.delete(made[0])).deleted
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(made[0])


async def test_batches_are_listed_newest_first(client: openai.AsyncOpenAI) -> None:
    made = [(await leave(client, jsonl([line("a")]))).id for _ in range(3)]
    assert [batch.id async for batch in await client.batches.list(limit=2)] == made[::-1]
    for batch_id in made:
        await until(client, batch_id)


async def test_a_small_batch_ends_while_a_large_one_goes_on(client: openai.AsyncOpenAI) -> None:
    refused = {"temperature": "hot"}  # at once, so that both are short
    large = await leave(client, jsonl(line(f"n{i}", **refused) for i in range(2_000)))
    done = await until(client, (await leave(client, jsonl([line("a", **refused)]))).id)
    assert done.status == "completed"
    assert (await client.batches.cancel(large.id)).status == "cancelling"


async def test_a_cancelled_batch_asks_nothing_more_and_keeps_what_it_has(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    held = asyncio.Event()
    upstream.default = Behaviour(gates={0: held})
    batch = await leave(client, jsonl(line(f"n{i}") for i in range(150)))
    await upstream.until(lambda: len(upstream.calls("first")) >= 8, within_s=60)
    cancelling = await client.batches.cancel(batch.id)
    assert cancelling.status == "cancelling"
    upstream.default = Behaviour()
    held.set()
    ended = await until(client, batch.id)
    assert ended.status == "cancelled"
    answered = await read(client, ended.output_file_id)
    errors = await read(client, ended.error_file_id)
    assert 0 < len(answered) < 150
    assert len(answered) + len(errors) == 150
    assert {e["error"]["code"] for e in errors} == {"batch_cancelled"}
    other = await until(client, (await leave(client, jsonl([line("a")]))).id)
    with pytest.raises(openai.BadRequestError, match="completed"):
        await client.batches.cancel(other.id)


async def test_when_its_window_is_over_a_batch_is_expired_with_what_it_has(
    service: Service, upstream: Upstream
) -> None:
    client, held = await service.client(), asyncio.Event()
    upstream.default = Behaviour(gates={0: held})
    batch = await leave(client, jsonl(line(f"n{i}") for i in range(60)))
    await upstream.until(lambda: len(upstream.calls("first")) >= 8, within_s=60)
    path = service.router.settings.data_dir / "batches.db"
    with closing(sqlite3.connect(path, timeout=60)) as database:
        database.execute("UPDATE batches SET expires_at = created_at")  # as if a day had passed
        database.commit()
    upstream.default = Behaviour()
    held.set()
    ended = await until(client, batch.id)
    assert ended.status == "expired"
    errors = await read(client, ended.error_file_id)
    assert {e["error"]["code"] for e in errors} == {"batch_expired"}
    assert ended.request_counts.completed > 0
    assert ended.request_counts.completed + ended.request_counts.failed == 60


async def test_a_key_sees_its_own_files_and_batches_alone(serve: Serve, settings: Make) -> None:
    service = await serve(settings(environ={"ROUTER_API_KEYS": "one,two"}))
    mine, other = await service.client("one"), await service.client("two")
    batch = await leave(mine, jsonl([line("a")]))
    done = await until(mine, batch.id)
    assert done.status == "completed"
    for file_id in (done.input_file_id, done.output_file_id):
        for ask in (other.files.retrieve, other.files.content, other.files.delete):
            with pytest.raises(openai.NotFoundError):
                await ask(file_id)
    for ask in (other.batches.retrieve, other.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            await ask(batch.id)
    assert [f async for f in await other.files.list()] == []
    assert [b async for b in await other.batches.list()] == []
    with pytest.raises(openai.BadRequestError, match="there is no file"):
        await other.batches.create(
            input_file_id=done.input_file_id, endpoint=CHAT, completion_window="24h"
        )
    with pytest.raises(openai.AuthenticationError):
        await (await service.client("three")).files.list()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"endpoint": "/v1/images"}, "endpoint"),
        ({"completion_window": "soon"}, "completion_window"),
        ({"completion_window": "15d"}, "completion_window"),
        ({"input_file_id": "file-none"}, "input_file_id"),
        ({"metadata": {"k": "v" * 600}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"output_expires_after": {"anchor": "x", "seconds": 9}}, "output_expires_after"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_wrong_order_is_refused_by_the_name_of_what_is_wrong(
    service: Service, change: dict[str, Any], named: str
) -> None:
    client = await service.client()
    file = await client.files.create(file=("a", jsonl([line("a")])), purpose="batch")
    body = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h", **change}
    reply = await service.http.post("/v1/batches", json=body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, named)


async def test_what_is_no_file_is_refused(serve: Serve, settings: Make) -> None:
    small = {"file_mb": 0.001, "stored_mb": 0.0015}
    service = await serve(settings(batch=small))
    post = service.http.post

    async def refused(status: int, **how: Any) -> None:
        reply = await post("/v1/files", **how)
        assert (reply.status_code, set(reply.json())) == (status, {"error"}), reply.text

    good = io.BytesIO(b"{}")
    await refused(400, json={})
    await refused(400, files={"file": good})
    await refused(400, files={"file": good}, data={"purpose": "fine-tune"})
    await refused(400, files={"file": b""}, data={"purpose": "batch"})
    await refused(400, files={"other": good}, data={"purpose": "batch"})
    await refused(400, data={"purpose": "batch", "file": "x"}, files={"more": good})
    late = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "5"}
    await refused(400, files={"file": b"{}"}, data={"purpose": "batch", **late})
    for half in late.items():
        await refused(400, files={"file": b"{}"}, data=dict([("purpose", "batch"), half]))
    await refused(413, files={"file": b"x" * 200_000}, data={"purpose": "batch"})
    client = await service.client()
    await client.files.create(file=("a", b"x" * 1_000), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="use up their quota"):
        await client.files.create(file=("a", b"x" * 1_000), purpose="batch")


@pytest.mark.parametrize("charset", ["undefined", "punycode", "unicode_escape", "nonsense"])
async def test_an_uploads_charset_may_be_anything(charset: str, service: Service) -> None:
    lines = [
        "--b", 'Content-Disposition: form-data; name="purpose"', "", "batch",
        "--b", 'Content-Disposition: form-data; name="file"; filename="\\ud800.jsonl"', "", "{}",
        "--b--", "",
    ]  # fmt: skip
    kind = {"content-type": f"multipart/form-data; boundary=b; charset={charset}"}
    body = "\r\n".join(lines).encode()
    reply = await service.http.post("/v1/files", content=body, headers=kind)
    assert reply.status_code in (200, 400), reply.text


async def test_a_file_that_is_read_is_not_deleted(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    held = asyncio.Event()
    upstream.default = Behaviour(gates={0: held})
    batch = await leave(client, jsonl([line("a")]))
    with pytest.raises(openai.BadRequestError, match="still reads"):
        await client.files.delete(batch.input_file_id)
    held.set()
    done = await until(client, batch.id)
    await client.files.delete(batch.input_file_id)
    await client.files.delete(done.output_file_id)
    assert (await client.batches.retrieve(batch.id)).status == "completed"


async def test_an_open_space_keeps_no_files(serve: Serve, settings: Make) -> None:
    service = await serve(settings(), write=False)
    with pytest.raises(openai.PermissionDeniedError, match="keeps no files"):
        await (await service.client()).files.list()


async def test_a_host_that_is_busy_costs_a_batch_no_line(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    busy = Behaviour(status=429, headers={"retry-after": "1"})
    for model in ("first", "second", "cheap"):
        upstream.behave(model, busy, Behaviour())
    done = await until(client, (await leave(client, jsonl([line("a")]))).id)
    assert done.request_counts.model_dump() == {"total": 1, "completed": 1, "failed": 0}


async def test_the_example_of_the_documentation_runs(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "batch.md").read_text(encoding="utf-8")
    source = page.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "requests.jsonl").write_bytes(jsonl([line("a"), line("b")]))
    source = source.replace("http://127.0.0.1:7860", service.url).replace("sleep(5)", "sleep(0.05)")
    source = source.replace("requests.jsonl", str(tmp_path / "requests.jsonl"))
    await asyncio.to_thread(exec, source, {})
    printed = capsys.readouterr().out
    assert "completed BatchRequestCounts(completed=2, failed=0, total=2)" in printed
    assert '"custom_id": "b"' in printed


async def test_a_foreign_page_leaves_no_file(service: Service) -> None:
    foreign = {"origin": "https://elsewhere.example"}
    how: Any = {"files": {"file": b"{}"}, "data": {"purpose": "batch"}}
    with suppress(httpx.ReadError):  # it is refused before its body was read
        reply = await service.http.post("/v1/files", headers=foreign, **how)
        assert reply.status_code == 403
    assert (await service.http.get("/v1/files")).json()["data"] == []


async def test_more_lines_than_a_batch_may_have_are_refused(serve: Serve, settings: Make) -> None:
    client = await (await serve(settings(batch={"lines": 2}))).client()
    failed = await until(client, (await leave(client, jsonl(map(line, "abc")))).id)
    assert [e.code for e in failed.errors.data] == ["too_many_lines"]

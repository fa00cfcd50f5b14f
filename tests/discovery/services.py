"""Loopback services that speak what the search asks: the hub, OpenRouter, Ollama, a chat host.

Each runs in a thread on a free port of 127.0.0.1, keeps what it was asked in `asked`, and answers
in the shapes of the real services (the hub: `/api/models` with `expand`, `Link` paging and rate
limits, `/api/models/{id}?blobs=true`, `/{id}/resolve/{revision}/{file}` with its `X-Linked-*`
headers and a redirect to where the bytes are).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit


@dataclass
class Reply:
    """A response; `cut` sends so many bytes of the body and closes the connection."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None

    @classmethod
    def json(cls, value: object, status: int = 200, **headers: str) -> Reply:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        kind = {"content-type": "application/json"}
        return cls(status, json.dumps(value).encode(), kind | named)


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""


class Service:
    """A server on loopback; subclasses answer."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.faults: list[Reply] = []
        """Answers to the next requests, instead of the right ones."""
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def answer(self, asked: Asked) -> Reply:
        raise NotImplementedError

    @property
    def url(self) -> str:
        assert self._server is not None, "the service is not started"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Quiet."""

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            asked = Asked(self.command, parts.path, parse_qs(parts.query), headers, body)
            service.asked.append(asked)
            reply = service.faults.pop(0) if service.faults else service.answer(asked)
            self.send_response(reply.status)
            for name, value in ({"content-length": str(len(reply.body))} | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(ConnectionError):  # a client that left early
                    self.wfile.write(reply.body[: reply.cut])

        do_GET = do_POST = do_HEAD = _serve  # noqa: N815

    return Handler


@dataclass
class HubModel:
    """One repository of the loopback hub."""

    id: str
    tags: Sequence[str] = ()
    downloads: int = 0
    likes: int = 0
    created: str = "2026-09-01T12:00:00.000Z"
    gated: str | bool = False
    card: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    gguf: Mapping[str, Any] | None = None
    safetensors: Mapping[str, Any] | None = None
    pipeline_tag: str | None = "text-generation"
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def sha(self) -> str:
        return hashlib.sha1(self.id.encode()).hexdigest()

    def listed(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "_id": self.sha[:24],
            "id": self.id,
            "cardData": dict(self.card),
            "createdAt": self.created,
            "downloads": self.downloads,
            "gated": self.gated,
            "likes": self.likes,
            "sha": self.sha,
            "tags": list(self.tags),
        }
        for name in ("config", "gguf", "safetensors"):
            if getattr(self, name) is not None:
                found[name] = dict(getattr(self, name))
        return found


class Hub(Service):
    """The Hugging Face Hub, as its client knows it."""

    def __init__(self, *models: HubModel, page: int = 100) -> None:
        super().__init__()
        self.models = {model.id: model for model in models}
        self.page = page
        self.location: str | None = None
        """Where a file's bytes are instead of here (`{file}` is filled in)."""
        self.knows_ranges = True
        self.limited_after: int | None = None
        """So many requests are answered, the next ones with 429."""
        self.cuts: list[int] = []
        """The next downloads end after so many bytes."""

    def answer(self, asked: Asked) -> Reply:
        if self.limited_after is not None and len(self.asked) > self.limited_after:
            return Reply(429)
        if asked.path == "/api/models":
            return self._list(asked)
        if asked.path.startswith("/api/models/"):
            return self._info(asked.path.removeprefix("/api/models/"))
        if "/resolve/" in asked.path:
            return self._resolve(asked)
        if asked.path.startswith("/cdn/"):
            return self._bytes(asked, *asked.path.removeprefix("/cdn/").rsplit("/", 1))
        return Reply.json({"error": "Not Found"}, 404)

    def _list(self, asked: Asked) -> Reply:
        query = asked.query
        wanted = set(query.get("filter", []))
        search = query.get("search", [""])[0].lower()
        kind = query.get("pipeline_tag", [None])[0]
        found = [
            m
            for m in self.models.values()
            if wanted <= set(m.tags) and search in m.id.lower() and kind in (None, m.pipeline_tag)
        ]
        key = {"downloads": "downloads", "trendingScore": "likes"}.get(query["sort"][0], "id")
        found.sort(key=lambda m: getattr(m, key), reverse=True)
        start = int(query.get("cursor", ["0"])[0])
        size = min(self.page, int(query.get("limit", ["1000"])[0]))
        reply = Reply.json([m.listed() for m in found[start : start + size]])
        if start + size < len(found):
            rest = {**query, "cursor": [str(start + size)]}
            reply.headers["link"] = f'<{self.url}/api/models?{urlencode(rest, True)}>; rel="next"'
        return reply

    def _info(self, name: str) -> Reply:
        if name not in self.models:
            return Reply.json({"error": "Repository not found"}, 404, x_error_code="RepoNotFound")
        model = self.models[name]
        siblings = [
            {
                "rfilename": file,
                "size": len(content),
                "blobId": hashlib.sha1(content).hexdigest(),
                "lfs": {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "size": len(content),
                    "pointerSize": 134,
                },
            }
            for file, content in model.files.items()
        ]
        return Reply.json(model.listed() | {"siblings": siblings})

    def _resolve(self, asked: Asked) -> Reply:
        name, _, rest = asked.path.lstrip("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        model = self.models.get(name)
        if model is None or revision not in (model.sha, "main") or file not in model.files:
            return Reply.json({"error": "Entry not found"}, 404, x_error_code="EntryNotFound")
        content = model.files[file]
        if name.startswith("datasets/"):  # small enough to be sent at once
            etag = hashlib.sha256(content).hexdigest()
            return Reply(200, content, {"x-repo-commit": model.sha, "etag": f'"{etag}"'})
        location = self.location or f"/cdn/{name}/{file}"
        return Reply(
            302,
            headers={
                "location": location.replace("{file}", f"{name}/{file}"),
                "x-repo-commit": model.sha,
                "x-linked-size": str(len(content)),
                "x-linked-etag": f'"{hashlib.sha256(content).hexdigest()}"',
                "accept-ranges": "bytes",
            },
        )

    def _bytes(self, asked: Asked, name: str, file: str) -> Reply:
        content = self.models[name].files[file]
        wanted = asked.headers.get("range")
        cut = self.cuts.pop(0) if self.cuts else None
        if wanted is None or not self.knows_ranges:
            return Reply(200, content, cut=cut)
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return Reply(206, content[start:], {"content-range": span}, cut=cut)


def arena(*rows: Mapping[str, Any]) -> HubModel:
    """LMArena's data set: each row a model's rating in one category, of both of its parts."""
    import pyarrow
    from pyarrow import parquet

    columns = ("model_name", "rating", "rating_lower", "rating_upper", "category")
    table = {name: [row.get(name) for row in rows] for name in columns}
    table["leaderboard_publish_date"] = ["2026-11-20"] * len(rows)
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(table), file)
    parts = ("text", "text_style_control")
    files = {f"{part}/latest-00000-of-00001.parquet": file.getvalue() for part in parts}
    return HubModel("datasets/lmarena-ai/leaderboard-dataset", pipeline_tag=None, files=files)


class OpenRouter(Service):
    """The public list, in pages where `page` says so."""

    def __init__(self, *models: Mapping[str, Any], page: int | None = None) -> None:
        super().__init__()
        self.models = models
        self.page = page

    def answer(self, asked: Asked) -> Reply:
        if asked.path != "/api/v1/models":
            return Reply.json({"error": {"message": "Not Found", "code": 404}}, 404)
        start = int(asked.query.get("offset", ["0"])[0])
        end = start + self.page if self.page else None
        body: dict[str, Any] = {"data": list(self.models[start:end])}
        if self.page:
            more = end is not None and end < len(self.models)
            following = f"/api/v1/models?offset={end}&limit={self.page}" if more else None
            body |= {"total_count": len(self.models), "links": {"next": following}}
        return Reply.json(body)


class Ollama(Service):
    """`/api/tags` and the OpenAI-compatible list."""

    def __init__(self, *tags: Mapping[str, Any]) -> None:
        super().__init__()
        self.tags = tags

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/api/tags":
            return Reply.json({"models": list(self.tags)})
        if asked.path == "/v1/models":
            data = [{"id": t["name"], "object": "model", "owned_by": "library"} for t in self.tags]
            return Reply.json({"object": "list", "data": data})
        return Reply(404, b"404 page not found")


class ChatHost(Service):
    """OpenAI's dialect: `models` maps each id to what it answers to a prompt."""

    def __init__(self, **models: Callable[[str], str]) -> None:
        super().__init__()
        self.models = dict(models)
        self.listed: list[Mapping[str, Any]] | None = None
        """What `/models` says, where that is more than the ids."""

    def answer(self, asked: Asked) -> Reply:
        if asked.path.endswith("/models"):
            ids = [{"id": name, "object": "model"} for name in self.models]
            return Reply.json({"object": "list", "data": self.listed or ids})
        body = json.loads(asked.body)
        if body["model"] not in self.models:
            error = {"message": f"no model {body['model']}", "type": "invalid_request_error"}
            return Reply.json({"error": error}, 404)
        text = self.models[body["model"]](body["messages"][-1]["content"])
        return Reply(200, _stream(body["model"], text), {"content-type": "text/event-stream"})

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def chats(self, model: str | None = None) -> list[dict[str, Any]]:
        """The bodies of the chat calls."""
        bodies = [json.loads(a.body) for a in self.asked if a.method == "POST"]
        return [b for b in bodies if model in (None, b["model"])]


def _stream(model: str, text: str) -> bytes:
    def event(choices: list[dict[str, Any]], **more: object) -> str:
        chunk = {"id": "c", "object": "chat.completion.chunk", "model": model, "choices": choices}
        return f"data: {json.dumps(chunk | more)}\n\n"

    def choice(delta: dict[str, str], reason: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": delta, "finish_reason": reason}]

    words = text.split(" ")
    usage = {"prompt_tokens": 20, "completion_tokens": len(words), "total_tokens": 20 + len(words)}
    pieces = [event(choice({"role": "assistant", "content": ""}))]
    pieces += [event(choice({"content": w if i == 0 else f" {w}"})) for i, w in enumerate(words)]
    pieces += [event(choice({}, "stop")), event([], usage=usage), "data: [DONE]\n\n"]
    return "".join(pieces).encode()

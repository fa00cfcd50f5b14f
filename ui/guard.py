"""What stands before the page: its routes, its sessions, and what its events may be given.

Gradio serves more than the page uses (proxies, recordings, deep links that write files, components'
own functions), takes any value for any input and gives out any file of its folder. Here a request
is known and checked, or it never reaches Gradio.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

import orjson
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.errors import RouterError, UsageError
from ui.inputs import Event
from ui.login import Login
from ui.uploads import Files, Uploading, answer_to, replayed
from web.body import BodyError, read_body
from web.hosts import with_cookie

logger = structlog.get_logger()

FAILED = "the page could not do that; the service's log says why"
MOST_BODY = 4 * 2**20
MOST_TYPE = 256
"""Characters of a form's type with its boundary; Gradio fails at longer ones."""
COOKIE = "router-session"
API = "/gradio_api"
LOGIN = ("/login", "/login/")

ORIGIN = "page_origin"
"""In a request's scope: the origin of the page that sent it, which Gradio does not get to see."""

_SHOWN = re.compile(
    r"/(?:favicon\.ico|robots\.txt|theme\.css|manifest\.json|login_check|logout"
    r"|(?:assets|static|svelte)/[A-Za-z0-9._/-]{1,200}"
    r"|gradio_api/(?:theme\.css|login_check/?|app_id/?|startup-events))?"
)
"""What the page loads before anybody signs in."""
_READ = re.compile(
    r"/config/?|/gradio_api/(?:info/?|openapi\.json|user/?|token/?|queue/(?:data|status)"
    r"|upload_progress|heartbeat/[\w-]{1,64}|call/(?:v2/)?\w{1,80}/[\w-]{1,64})"
)
_FILE = re.compile(r"/gradio_api/file=(.+)", re.DOTALL)
_EVENT = re.compile(r"/gradio_api/(run|api|call|call/v2|queue)/(\w{1,80})/?")
_LISTED = re.compile(rb"(window\.gradio_api_info = ).*?(;</script>)", re.DOTALL)
_RANGE = re.compile(rb"bytes=(?:\d{1,18}-\d{0,18}|-\d{1,18})")
"""One part of a file. A server may ignore what else is asked for, and Starlette fails at some."""
_SESSION = re.compile(r"[\w-]{1,64}")


class RefusedError(RouterError):
    """A request that the page does not take, with its status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Guard:
    """ASGI middleware around Gradio's own application. `events` are filled once the page is built.

    A browser is known by a cookie of its own, which says whose the uploaded files are.
    """

    def __init__(
        self, app: ASGIApp, events: Mapping[int, Event], files: Files, policy: str
    ) -> None:
        self.app = app
        self.events = events
        self.files = files
        self.policy = policy
        self.uploading = Uploading(app, files)
        self.login = Login(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        origin = Headers(scope=scope).get("origin", "")
        passed = [pair for pair in scope["headers"] if _passes(*pair)]
        scope = {**scope, "headers": passed, ORIGIN: origin}
        session = session_of(Headers(scope=scope)) or secrets.token_urlsafe(24)
        sender = _Reply(_with_cookie(scope, session, send), self.policy)
        try:
            await self._serve(Request(scope, receive), session, sender)
        except (RefusedError, BodyError) as error:
            await refuse(error.status, str(error))(scope, receive, sender)
        except UsageError as error:
            await refuse(422, str(error))(scope, receive, sender)
        except HTTPException as error:  # Starlette's, of a form that it cannot read
            await refuse(error.status_code, str(error.detail))(scope, receive, sender)
        except Exception as error:
            await _failed(error, scope, receive, sender)

    async def _serve(self, request: Request, session: str, send: Send) -> None:
        path, method = request.scope["path"], request.method
        signed_in = is_signed_in(request)
        shown = method in ("GET", "HEAD") and _SHOWN.fullmatch(path)
        if not (signed_in or shown or path in LOGIN):
            raise RefusedError(401, "sign in first")
        if path == "/" and not signed_in:
            await self._login_page(request, send)
            return
        if method == "POST":
            await self._post(request, path, session, send)
        elif method in ("GET", "HEAD"):
            if found := _FILE.fullmatch(path):
                if not self.files.may_read(session, found[1]):
                    raise RefusedError(403, "this session has no such file")
            elif not (_SHOWN.fullmatch(path) or _READ.fullmatch(path)):
                raise RefusedError(404, "the page has no such address")
            await self.app(request.scope, request.receive, send)
        else:
            raise RefusedError(405, f"the page takes no {method[:20]}")

    async def _login_page(self, request: Request, send: Send) -> None:
        """Gradio lists the endpoints in it."""
        status, headers, body = await answer_to(self.app, request, request.receive)
        body = _LISTED.sub(rb"\1{}\2", body)
        await Response(body, status, headers)(request.scope, request.receive, send)

    async def _post(self, request: Request, path: str, session: str, send: Send) -> None:
        if path == f"{API}/upload":
            if len(request.headers.get("content-type", "")) > MOST_TYPE:
                raise RefusedError(400, "the form's boundary is too long")
            await self.uploading(request, session, send)
            return
        if path in LOGIN:
            await self.login(request, send)
            return
        body = await _json(request)
        if path == f"{API}/cancel":
            checked = _cancelled(body)
        elif path.rstrip("/") == f"{API}/reset":
            checked = {"event_id": _name(body, "event_id")}
        elif (found := _EVENT.fullmatch(path)) is not None:
            checked = self._event(found[1], found[2], body, session)
        else:
            raise RefusedError(404, "the page has no such address")
        raw = orjson.dumps(checked)
        headers = MutableHeaders(raw=list(request.scope["headers"]))
        headers["content-length"] = str(len(raw))
        scope = {**request.scope, "headers": headers.raw}
        await self.app(scope, replayed([raw], request.receive), send)

    def _event(
        self, route: str, name: str, body: dict[str, object], session: str
    ) -> dict[str, object]:
        """The request's body with nothing in it that was not checked."""

        def holds(path: str) -> bool:
            return self.files.holds(session, path)

        event, number = self._named(route, name, body)
        if route == "call/v2":
            if not event.public:
                raise RefusedError(404, f"there is no endpoint {name}")
            return event.named(body, holds)
        checked: dict[str, object] = {"data": event.arguments(body.get("data"), holds)}
        if route == "queue" or body.get("session_hash") is not None:
            checked["session_hash"] = _name(body, "session_hash")
        if route != "call":
            checked |= {"fn_index": number, "event_data": event.data(body.get("event_data"))}
            checked["trigger_id"] = _number(body, "trigger_id")
        return checked

    def _named(self, route: str, name: str, body: dict[str, object]) -> tuple[Event, int]:
        """By number where one is given, as Gradio does, else by name."""
        number = None if route.startswith("call") else _number(body, "fn_index")
        if route == "queue" and (name != "join" or number is None):
            raise RefusedError(404, "the queue takes an event's `fn_index` at queue/join")
        if number is None:
            number = next((n for n, event in self.events.items() if event.name == name), None)
        if number is None or number not in self.events:
            raise RefusedError(404, "the page has no such event")
        return self.events[number], number


class _Reply:
    """Sends with the page's policy, and knows whether anything was sent."""

    def __init__(self, send: Send, policy: str) -> None:
        self.send = send
        self.policy = policy
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            MutableHeaders(scope=message)["content-security-policy"] = self.policy
        await self.send(message)


async def _failed(error: Exception, scope: Scope, receive: Receive, reply: _Reply) -> None:
    """End a reply at which Gradio failed: with a sentence where none was begun."""
    if not reply.begun:
        logger.exception("page_request_failed", path=scope["path"][:200])
        await refuse(500, FAILED)(scope, receive, reply)
    elif isinstance(error.__cause__, HTTPException):
        # The stream of an event that is not known has said so, and Gradio raises it besides.
        await reply({"type": "http.response.body", "body": b""})
    else:
        raise error


def _passes(name: bytes, value: bytes) -> bool:
    """Which headers Gradio gets: it lets every origin read with cookies unless it is served as
    localhost."""
    return name != b"origin" and (name != b"range" or _RANGE.fullmatch(value) is not None)


def session_of(headers: Mapping[str, str]) -> str | None:
    """The session that a request's cookie names."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel and _SESSION.fullmatch(morsel.value) else None


def refuse(status: int, message: str, **headers: str) -> JSONResponse:
    """The sentence under both names that Gradio's clients look for."""
    return JSONResponse({"error": message, "detail": message}, status, headers)


def _with_cookie(scope: Scope, session: str, send: Send) -> Send:
    """Give a browser that has none its cookie, with the page and with its uploads."""
    known = session_of(Headers(scope=scope)) is not None
    if known or scope["path"] not in ("/", f"{API}/upload"):
        return send
    return with_cookie(send, COOKIE, session)


def is_signed_in(request: Request) -> bool:
    """Also where nobody needs to be; known before anything of the request is read."""
    gradio = request.scope["app"]
    if gradio.auth is None:
        return True
    names = (f"access-token-{gradio.cookie_id}", f"access-token-unsecure-{gradio.cookie_id}")
    return any(request.cookies.get(name) in gradio.tokens for name in names)


async def _json(request: Request) -> dict[str, object]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(415, "send JSON, with `Content-Type: application/json`")
    try:
        body = orjson.loads(await read_body(request, MOST_BODY))
    except orjson.JSONDecodeError:
        raise RefusedError(400, "the body is not valid JSON") from None
    if not isinstance(body, dict):
        raise RefusedError(422, "the body must be a JSON object")
    return body


def _cancelled(body: dict[str, object]) -> dict[str, object]:
    names = {name: _name(body, name) for name in ("session_hash", "event_id")}
    return {**names, "fn_index": _number(body, "fn_index") or 0}


def _name(body: dict[str, object], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not _SESSION.fullmatch(value):
        raise UsageError(f"`{key}` must be a name of at most 64 letters and digits", key)
    return value


def _number(body: dict[str, object], key: str) -> int | None:
    value = body.get(key)
    if value is not None and (type(value) is not int or not 0 <= value < 2**31):
        raise UsageError(f"`{key}` must be a whole number", key)
    return value

"""Wrong logins are slowed down: guessing a password must not be cheap."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Send

from ui.uploads import replayed
from web.body import read_body

FREE = 5
"""Wrong logins of one user from one address before each further one has to wait."""
FREE_ANYWHERE = 50
"""Wrong logins of one user from all addresses: an address is cheap to forge behind a proxy."""
LONGEST_S = 30.0
MOST_KEPT = 10_000
MOST_BODY = 2**14

Key = tuple[str, ...]


class Attempts:
    """After `FREE` failures a second's wait, doubling up to `LONGEST_S`; a success forgets them."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[Key, tuple[int, float]] = OrderedDict()
        """How many, and until when nothing further is tried."""

    def begin(self, user: str, address: str) -> float:
        """0.0 and the attempt counts as failed until it succeeds, or the seconds to wait."""
        now = self._clock()
        keys: dict[Key, int] = {(user, address): FREE, (user,): FREE_ANYWHERE}
        waits = [self._failures.get(key, (0, now))[1] - now for key in keys]
        if (wait := max(waits)) > 0:
            return wait
        for key, free in keys.items():
            count = self._failures.get(key, (0, now))[0] + 1
            pause = min(LONGEST_S, 2.0 ** min(count - free, 10)) if count >= free else 0.0
            self._failures[key] = (count, now + pause)
            self._failures.move_to_end(key)
        while len(self._failures) > MOST_KEPT:
            self._failures.popitem(last=False)
        return 0.0

    def succeeded(self, user: str, address: str) -> None:
        self._failures.pop((user, address), None)
        self._failures.pop((user,), None)


class Login:
    """Stands before Gradio's own login."""

    def __init__(self, app: ASGIApp, attempts: Attempts | None = None) -> None:
        self.app = app
        self.attempts = attempts or Attempts()

    async def __call__(self, request: Request, send: Send) -> None:
        raw = await read_body(request, MOST_BODY)
        form: FormData = await Request(request.scope, replayed([raw], request.receive)).form(
            max_files=0, max_fields=10
        )
        user = str(form.get("username", "")).strip().lower()[:200]
        address = request.client.host if request.client else ""
        if wait := self.attempts.begin(user, address):
            seconds = math.ceil(wait)
            said = f"too many wrong logins: try again in {seconds} s"
            headers = {"retry-after": str(seconds)}
            refusal = JSONResponse({"detail": said, "error": said}, 429, headers)
            await refusal(request.scope, request.receive, send)
            return

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                self.attempts.succeeded(user, address)
            await send(message)

        await self.app(request.scope, replayed([raw], request.receive), sender)

"""Bearer keys: who may use the service."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from fastapi import Request
from pydantic import SecretStr

from api.errors import INVALID, Problem, RefusedError


class Keys:
    """The keys of `ROUTER_API_KEYS`, kept as digests."""

    def __init__(self, keys: Iterable[SecretStr]) -> None:
        self._digests = [_digest(key.get_secret_value()) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def accept(self, request: Request) -> bool:
        """True for a known bearer key, and for everybody where no keys are set.

        Takes the same time whichever key it is, and however much of it is right.
        """
        if not self._digests:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        digest = _digest(given.strip())
        known = [hmac.compare_digest(digest, one) for one in self._digests]
        return any(known) and scheme.lower() == "bearer"

    def who(self, request: Request) -> str:
        """A name for the caller that gives nothing of his key away: the key's digest, shortened."""
        if not self._digests:
            return "local"
        _, _, given = request.headers.get("authorization", "").partition(" ")
        return f"key {_digest(given.strip()).hex()[:8]}"

    async def require(self, request: Request) -> None:
        """A route's dependency; 401 without a known key."""
        if self.accept(request):
            return
        sent = "this key is not known" if "authorization" in request.headers else "a key is needed"
        message = f"{sent}: send one of ROUTER_API_KEYS as `Authorization: Bearer …`"
        headers = {"www-authenticate": "Bearer"}
        raise RefusedError(Problem(401, message, INVALID, "invalid_api_key", headers=headers))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()

"""Who may change something on the page: whoever signed in, or sits at this machine."""

from __future__ import annotations

from urllib.parse import urlsplit

import gradio as gr
from starlette.requests import Request

from ui.guard import ORIGIN
from ui.wording import say
from web.hosts import is_loopback, name_of

FORWARDED = (
    *("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip"),
    *(
        "cf-connecting-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "cdn-loop",
        "x-envoy-external-address",
    ),
)
"""What proxies add, beside all `x-forwarded-…`: whoever comes through one sits elsewhere, as far as
can be known."""


def is_here(request: Request | gr.Request) -> bool:
    """Whether the request was made at this machine, under a name of it, by a page of it.

    `request` is Gradio's or Starlette's.
    """
    if _through_proxy(request):
        return False
    client = request.client.host if request.client is not None else ""
    names = [client, name_of(request.headers.get("host", "")) or ""]
    if origin := _scope(request).get(ORIGIN):
        names.append(name_of(urlsplit(str(origin)).netloc) or "")
    return all(is_loopback(name) for name in names)


def _through_proxy(request: Request | gr.Request) -> bool:
    """A browser speaks HTTP/1.1; in 1.0 comes what nginx forwards as it is installed, which adds no
    header and calls the service by its loopback address."""
    names = [name.lower() for name in request.headers]
    if any(name in FORWARDED or name.startswith("x-forwarded-") for name in names):
        return True
    return _scope(request).get("http_version") == "1.0"


def _scope(request: Request | gr.Request) -> dict[str, object]:
    inner = getattr(request, "request", None) if isinstance(request, gr.Request) else request
    return dict(inner.scope) if inner is not None else {}


def may_change(request: Request | gr.Request) -> bool:
    return bool(getattr(request, "username", None)) or is_here(request)


def may_give_keys(request: Request | gr.Request, *, allow_keys: bool) -> bool:
    """`allow_keys`: whoever signed in may, as `--allow-keys` says."""
    return is_here(request) or (allow_keys and bool(getattr(request, "username", None)))


def by_whom(request: gr.Request) -> str:
    return request.username or say("permissions.here")

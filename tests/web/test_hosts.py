"""Which names and pages the service answers to, by header: over a real port."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from config.environment import router_environment, variables
from config.errors import ConfigError
from config.models import Environment
from web.hosts import Names, guard, name_of

PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, content-type, x-stainless-lang",
}


def app_with(environment: Environment | None = None, host: str = "127.0.0.1") -> httpx.AsyncClient:
    app = FastAPI()

    @app.api_route("/v1/echo", methods=["GET", "POST"])
    @app.api_route("/page", methods=["GET", "POST"])
    def done() -> str:
        return "done"

    guard(app, environment or Environment(), host)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:7860")


LOOPBACK = [
    "127.0.0.1",
    "127.0.0.1:7860",
    "localhost:1",
    "LocalHost",
    "localhost.",
    "[::1]:7860",
    "127.8.9.10",
    "[::ffff:127.0.0.1]",
]
FOREIGN = [
    "evil.example",
    "evil.example:7860",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "192.168.1.5",
    "0.0.0.0",
    "[::]",
    "127.0.0.1@evil.example",
    "127.0.0.1:x",
    "127.0.0.1,evil",
    "127.0.0.1/evil",
    "2130706433",
    "127.0.0.1#evil",
    "[::1",
    "::1",
    "127.0.0.1:",
    "",
]
"""The last is empty."""


@pytest.mark.parametrize("host", LOOPBACK)
async def test_a_loopback_name_is_served(host: str) -> None:
    async with app_with() as http:
        assert (await http.get("/v1/echo", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("host", FOREIGN)
async def test_a_foreign_name_is_refused_by_every_method(host: str) -> None:
    async with app_with() as http:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
            reply = await http.request(method, "/v1/echo", headers={"host": host})
            assert reply.status_code == 421
            assert method == "HEAD" or "ROUTER_ALLOWED_HOSTS" in reply.text
            assert "access-control-allow-origin" not in reply.headers


async def test_two_names_are_none() -> None:
    async with app_with() as http:
        hosts = [("host", "127.0.0.1"), ("host", "evil.example")]
        assert (await http.get("/v1/echo", headers=hosts)).status_code == 421


async def test_allowed_names_and_the_address_given_are_served() -> None:
    environment = Environment(allowed_hosts=("router.example.com",))
    async with app_with(environment, host="10.0.0.7") as http:
        for host in ("router.example.com:443", "ROUTER.example.com", "10.0.0.7", "localhost"):
            assert (await http.get("/page", headers={"host": host})).status_code == 200
        assert (await http.get("/page", headers={"host": "x.example.com"})).status_code == 421


async def test_the_address_that_a_connection_came_to_is_served_without_being_named() -> None:
    """A scraper and a kubelet ask a pod by its address, and cannot send another name."""
    environment = Environment(allowed_hosts=("router.example.com",))
    async with app_with(environment, host="0.0.0.0") as http:
        http.base_url = httpx.URL("http://10.0.0.7:7860")
        own = "http://10.0.0.7:7860"
        assert (await http.get("/v1/echo")).status_code == 200
        assert (
            await http.get("/v1/echo", headers={"host": "[::ffff:10.0.0.7]"})
        ).status_code == 200
        assert (await http.post("/v1/echo", headers={"origin": own})).status_code == 200
        assert (
            await http.post("/v1/echo", headers={"origin": "http://10.0.0.8"})
        ).status_code == 403
        for name in ("10.0.0.8", "evil.example"):
            assert (await http.get("/v1/echo", headers={"host": name})).status_code == 421


@pytest.mark.parametrize(
    "open_to", [{"host": "0.0.0.0"}, {"environment": Environment(space_id="s")}]
)
async def test_an_address_open_to_others_has_any_name_but_no_foreign_page(open_to: dict) -> None:
    async with app_with(**open_to) as http:
        named = {"host": "anything.example:8080"}
        own = {**named, "origin": "https://anything.example:8080"}
        foreign = {**named, "origin": "https://evil.example"}
        assert (await http.get("/page", headers=named)).status_code == 200
        assert (await http.post("/page", headers=own)).status_code == 200
        assert (await http.post("/page", headers=foreign)).status_code == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://127.0.0.1:7860", 200),
        ("http://localhost:3000", 200),
        ("http://[::1]:7860", 200),
        ("http://evil.example", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://evil.example@127.0.0.1", 403),
        ("null", 403),
        ("", 403),
        ("file://", 403),
        ("vscode-webview://panel", 403),
        ("chrome-extension://localhost", 403),
    ],
)
async def test_only_the_own_pages_write(origin: str | None, status: int) -> None:
    async with app_with() as http:
        headers = {} if origin is None else {"origin": origin}
        for path in ("/page", "/v1/echo"):
            reply = await http.post(path, headers=headers)
            assert reply.status_code == status
            assert (await http.get(path, headers=headers)).status_code == 200
            if status == 403:
                assert "ROUTER_ALLOWED_HOSTS" in reply.text
                assert "ROUTER_CORS_ORIGINS" in reply.text


async def test_named_origins_may_use_the_api_and_not_the_page() -> None:
    origins = ("https://app.example.com", "vscode-webview://panel", "app://obsidian.md")
    async with app_with(Environment(cors_origins=origins)) as http:
        for origin in origins:
            asked = {"origin": origin}
            preflight = await http.options("/v1/echo", headers=asked | PREFLIGHT)
            assert preflight.status_code == 200
            assert preflight.headers["access-control-allow-origin"] == origin
            assert "x-stainless-lang" in preflight.headers["access-control-allow-headers"]
            assert "access-control-allow-credentials" not in preflight.headers
            reply = await http.post("/v1/echo", headers=asked)
            assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (
                200,
                origin,
            )
            assert (await http.post("/page", headers=asked)).status_code == 403
        for origin in ("https://evil.example", "null", "https://app.example.com.evil.example"):
            asked = {"origin": origin}
            preflight = await http.options("/v1/echo", headers=asked | PREFLIGHT)
            assert "access-control-allow-origin" not in preflight.headers
            assert (await http.post("/v1/echo", headers=asked)).status_code == 403
            read = await http.get("/v1/echo", headers=asked)
            assert "access-control-allow-origin" not in read.headers


async def test_a_reply_is_not_sniffed_and_sends_no_referrer() -> None:
    async with app_with() as http:
        headers = (await http.get("/page")).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


async def test_a_refusal_is_not_sniffed_either() -> None:
    async with app_with() as http:
        for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
            reply = await http.post("/page", headers=headers)
            assert reply.status_code in (421, 403)
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert reply.headers["referrer-policy"] == "no-referrer"


async def test_a_websocket_of_a_foreign_page_is_closed() -> None:
    app = FastAPI()
    guard(app, Environment())
    sent = []
    headers = [(b"host", b"127.0.0.1"), (b"origin", b"http://evil.example")]
    scope = {"type": "websocket", "path": "/v1/echo", "headers": headers}

    async def receive() -> dict:
        return {"type": "websocket.connect"}

    async def send(message: dict) -> None:
        sent.append(message["type"])

    await app(scope, receive, send)
    assert sent == ["websocket.close"]


def test_the_variables_are_read_and_wrong_ones_are_named() -> None:
    def environment(**given: str) -> Environment:
        return router_environment(variables(given, None))

    given = environment(
        ROUTER_ALLOWED_HOSTS="Router.example.com, [fd00::7]",
        ROUTER_CORS_ORIGINS="https://a.example:8443,app://obsidian.md",
    )
    assert given.allowed_hosts == ("router.example.com", "fd00::7")
    assert given.cors_origins == ("https://a.example:8443", "app://obsidian.md")
    assert Names.of(given, "127.0.0.1").serves(name_of("[fd00::7]:80"))
    for wrong in ("*", "https://a.example", "a b", "a.example:80:90/x"):
        with pytest.raises(ConfigError, match="ROUTER_ALLOWED_HOSTS"):
            environment(ROUTER_ALLOWED_HOSTS=wrong)
    for wrong in ("*", "https://*.example", "a.example", "https://a.example/"):
        with pytest.raises(ConfigError, match="ROUTER_CORS_ORIGINS"):
            environment(ROUTER_CORS_ORIGINS=wrong)

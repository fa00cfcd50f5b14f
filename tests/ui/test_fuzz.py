"""Whatever is sent to an event of the page: a sentence or an answer, never a traceback."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.ui.conftest import Site
from tests.ui.test_files import dependencies

ROUNDS = 4
CHANGES = {"undo", "take_back", "bring_up_to_date"}
"""What takes nothing and changes the configuration or the documents."""


@pytest.fixture(scope="module")
def http(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=60) as client:
        client.get("/")
        yield client


LEAVES: list[Any] = [None, True, False, 0, -1, 1.5, 2**31, 2**63, 10**400, "", [], {}, "NaN"]
LEAVES += ["x" * 100_000, "../../etc/passwd", "swift", "technical", "\x00\x1b[31m", "🙂" * 50]
LEAVES += [{"__type__": "update"}, {"_type": "gradio.FileData"}, {"path": "/etc/passwd"}]
LEAVES += [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, {"path": 7, "meta": 7}]
NO_BODIES = [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"data": NaN}', b'{"data": ["\\ud800"]}']
NO_BODIES += [b'{"data": ["a"], "data": 7}', b"\xff", b'{"data": {"0": "a"}}']


def value(draw: random.Random, depth: int = 0) -> Any:
    shape = draw.random()
    if depth > 5 or shape < 0.6:
        return draw.choice(LEAVES)
    if shape < 0.8:
        return [value(draw, depth + 1) for _ in range(draw.randrange(4))]
    keys = ["path", "meta", "url", "value", "index", "liked", "prompt", "key", "data", "\ufeff"]
    return {draw.choice(keys): value(draw, depth + 1) for _ in range(draw.randrange(4))}


def body(draw: random.Random, dependency: dict[str, Any]) -> dict[str, Any]:
    count = len(dependency["inputs"]) + draw.choice((0, 0, 0, 1, -1))
    found: dict[str, Any] = {"data": [value(draw) for _ in range(max(0, count))]}
    found["fn_index"] = dependency["id"] if draw.random() < 0.9 else draw.choice(LEAVES)
    found["session_hash"] = "fuzz" if draw.random() < 0.9 else draw.choice(LEAVES)
    for key in ("event_data", "trigger_id", "event_id", "batched", "simple_format", "oauth_token"):
        if draw.random() < 0.3:
            found[key] = value(draw)
    if draw.random() < 0.1:
        found["data"] = value(draw)
    return found


def check(reply: httpx.Response, where: str) -> None:
    assert reply.status_code in (200, 400, 404, 422, 500), (where, reply.status_code)
    assert "Traceback" not in reply.text, where
    if reply.status_code != 200:
        said = reply.json()["error"]
        assert said, (where, reply.text)
        assert len(said.splitlines()) == 1, said
        assert "the service's log says why" not in said, where


def test_no_event_breaks_on_what_it_is_given(http: httpx.Client, capfd: pytest.CaptureFixture[str]):
    draw = random.Random(20261127)
    health = http.post("/gradio_api/run/providers", json={"data": []}).json()["data"]
    for dependency in dependencies(http):
        name = dependency["api_name"]
        if name in CHANGES:
            continue
        for n in range(ROUNDS):
            route = (f"run/{name}", "queue/join", f"call/{name}")[n % 3]
            raw = json.dumps(body(draw, dependency)).encode()
            sent = {"content-type": "application/json"}
            reply = http.post(f"/gradio_api/{route}", content=raw, headers=sent)
            check(reply, f"{route} {raw[:300]!r}")
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out
    assert http.post("/gradio_api/run/providers", json={"data": []}).json()["data"] == health


WRONG = {
    "ask": ([1, None, None], "`prompt` must be a text"),
    "route": ([["a"]], "`prompt` must be a text"),
    "interactions": (["many", None], "`limit` must be a whole number"),
    "retrieve": (["a", 1.5], "`k` must be a whole number"),
    "feedback": (["x", "y"], "`liked` must be true, false or null"),
    "search": ([None], "`category` must be a text"),
    "undo": ([1], "undo takes nothing, not 1"),
    "documents": ([{}], "documents takes nothing, not 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_type_is_one_sentence_and_no_alarm(site: Site, http: httpx.Client, name: str):
    data, said = WRONG[name]
    before = site.router.health()
    reply = http.post(f"/gradio_api/run/{name}", json={"data": data})
    assert (reply.status_code, reply.json()["error"]) == (422, said)
    after = site.router.health()
    assert (after["status"], after["problems"]) == (before["status"], before["problems"])


def test_a_text_without_end_is_refused(http: httpx.Client):
    long = http.post("/gradio_api/run/route", json={"data": ["x" * 900_000]})
    assert (long.status_code, long.json()["error"]) == (
        422,
        "`prompt` is longer than 800000 characters",
    )
    endless = http.post("/gradio_api/run/route", json={"data": ["x" * 5_000_000]})
    assert endless.status_code == 413


@pytest.mark.parametrize("raw", NO_BODIES)
def test_what_is_no_such_body_is_one_sentence(http: httpx.Client, raw: bytes):
    sent = {"content-type": "application/json"}
    reply = http.post("/gradio_api/run/route", content=raw, headers=sent)
    assert reply.status_code in (400, 422)
    assert len(reply.json()["error"].splitlines()) == 1


def test_a_body_that_any_page_may_send_is_refused(http: httpx.Client):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        reply = http.post(
            "/gradio_api/run/route", content=b'{"data": ["a"]}', headers={"content-type": kind}
        )
        assert reply.status_code == 415


def test_an_endpoint_by_names_takes_its_arguments_and_no_others(http: httpx.Client):
    asked = http.post("/gradio_api/call/v2/route", json={"prompt": "Is it late?"})
    assert "event_id" in asked.json()
    for name, given, said in (
        ("route", {}, "`prompt` is missing: route takes `prompt`"),
        ("route", {"prompt": "a", "x": 1}, "`x` is no argument: route takes `prompt`"),
        ("undo", {"x": 1}, "`x` is no argument: undo takes nothing"),
        ("ask", {"prompt": ["a"]}, "`prompt` must be a text"),
    ):
        reply = http.post(f"/gradio_api/call/v2/{name}", json=given)
        assert (reply.status_code, reply.json()["error"]) == (422, said)
    assert http.post("/gradio_api/call/v2/add", json={}).status_code == 404
    assert http.post("/gradio_api/call/v2/nobody", json={}).status_code == 404


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/assets/" + "a" * 5000, {}, 404),
        ("/static/" + "ä" * 150, {}, 404),
        ("/favicon.ico", {"range": "bytes=0-1,bytes=0-1"}, 200),
        ("/favicon.ico", {"range": "bytes=" + "0-0," * 5000}, 200),
        ("/favicon.ico", {"range": "bytes=0-3"}, 206),
        ("/gradio_api/call/route/nobody", {}, 200),
        ("/gradio_api/queue/data?session_hash=nobody", {}, 200),
    ],
)
def test_what_gradio_fails_at_is_answered_and_leaves_no_traceback(
    http: httpx.Client,
    capfd: pytest.CaptureFixture[str],
    path: str,
    headers: dict[str, str],
    status: int,
):
    """A stream of nobody's events is read to its end: it says so, and is not cut off."""
    reply = http.get(path, headers=headers)
    assert reply.status_code == status
    assert "frame-ancestors" in reply.headers["content-security-policy"]
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out


def test_a_form_whose_boundary_is_too_long_is_refused(http: httpx.Client):
    kind = "multipart/form-data; boundary=" + "x" * 3000
    reply = http.post("/gradio_api/upload", content=b"--x\r\n", headers={"content-type": kind})
    assert (reply.status_code, reply.json()["error"]) == (400, "the form's boundary is too long")


def test_a_choice_that_is_not_offered_is_not_repeated(http: httpx.Client):
    found = http.get("/config").json()
    kinds = {part["id"]: part["type"] for part in found["components"]}
    choosing = [
        one
        for one in found["dependencies"]
        if one["backend_fn"] and "dropdown" in [kinds[n] for n in one["inputs"]]
    ]
    tried = set()
    for one in choosing:
        data = [None if kinds[n] == "state" else "/etc/\x1b[31mpasswd" for n in one["inputs"]]
        sent = {"data": data, "fn_index": one["id"], "session_hash": "chooser"}
        reply = http.post("/gradio_api/run/predict", json=sent)
        assert "passwd" not in reply.text, one["api_name"]
        tried.add(reply.status_code)
    assert 500 in tried
    assert tried <= {422, 500}

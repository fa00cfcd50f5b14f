"""A key is pasted, tried beside another model and kept; and after that it is nowhere to be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect
from starlette.requests import Request

from config.hosts import Provider
from config.redaction import keep_secret
from providers.base import ProviderError
from tests.ui.conftest import ENDLESS, Site, Visitor
from tests.upstream import Behaviour, error_body
from ui.guard import ORIGIN
from ui.key_trial import HELD_S, MOST_HELD, Cell, Column, HeldKeys, why
from ui.permissions import is_here, may_give_keys
from ui.wording import say_all

KEY = "gsk-paste-0123456789abcdef"


def sent(
    client: str = "127.0.0.1",
    host: str = "127.0.0.1:7860",
    origin: str = "",
    version: str = "1.1",
    **more: str,
):
    headers = [(b"host", host.encode())]
    headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    scope = {"type": "http", "headers": headers, "client": (client, 5), ORIGIN: origin}
    return Request({**scope, "http_version": version})


@pytest.mark.parametrize(
    ("request_", "here"),
    [
        (sent(), True),
        (sent("::1", "localhost:7860", "http://localhost:7860"), True),
        (sent("192.168.1.4"), False),
        (sent(host="router.example.com"), False),
        (sent(origin="https://router.example.com"), False),
        (sent(x_forwarded_for="127.0.0.1"), False),
        (sent(via="1.1 proxy"), False),
        (sent(forwarded="for=127.0.0.1"), False),
        (sent(x_forwarded_proto="https"), False),
        (sent(cf_connecting_ip="127.0.0.1"), False),
        (sent(version="1.0"), False),  # nginx as it is installed says nothing else
    ],
)
def test_a_request_through_a_proxy_is_not_made_at_this_machine(request_: Request, here: bool):
    assert is_here(request_) is here
    assert may_give_keys(request_, allow_keys=True) is here


def test_a_held_key_is_its_tabs_alone_bounded_and_forgotten_in_time():
    now = [0.0]
    held = HeldKeys(lambda: now[0])
    name = held.hold(KEY, "p", "https://a.example", "tab")
    found = held.find(name, "tab")
    assert found is not None
    assert KEY not in repr(found)
    assert held.find(name, "other") is None
    assert held.find("x", "tab") is None
    now[0] = HELD_S
    assert held.find(name, "tab") is None
    tabs = [f"tab{n}" for n in range(MOST_HELD + 1)]
    names = [held.hold(KEY, "p", "https://a.example", tab) for tab in tabs]
    found = [held.find(*pair) for pair in zip(names, tabs, strict=True)]
    assert [one is None for one in found] == [True] + [False] * MOST_HELD
    held.hold(KEY, "q", "https://a.example", tabs[-1])
    assert held.find(names[-1], tabs[-1]) is None


@pytest.mark.parametrize(
    ("error", "begins"),
    [
        (ProviderError("auth", "x"), "Wrong key: theatre refused it"),
        (ProviderError("auth", "x", credit=True), "No credit: theatre knows the key"),
        (ProviderError("not_found", "x"), "Unknown model: theatre takes the key"),
        (
            ProviderError("connection", "p at theatre cannot be reached"),
            "Unreachable: P at theatre",
        ),
        (ProviderError("timeout", "p did not accept"), "Unreachable: P did not accept"),
        (ProviderError("rate_limited", "x"), "Too many requests"),
        (ProviderError("server", "p at theatre failed"), "P at theatre failed."),
    ],
)
def test_each_failure_is_one_line_that_names_what_is_wrong(error, begins: str):
    column = Column(Provider(name="p", host="theatre", model="m"), "theatre")
    assert why(error, column).startswith(begins)


def test_an_answer_that_repeats_the_key_does_not_show_it():
    keep_secret(KEY)
    shown = Cell("done", text=f"You sent Bearer {KEY}.").shown()
    assert KEY not in json.dumps(shown)
    assert "You sent" in str(shown["text"])


def keyed(config) -> None:
    """`remote` and `hostile` need a key; another one's is in the environment."""
    base = config["hosts"]["upstream"]["base_url"]
    config["hosts"]["upstream"] = {"base_url": base, "api_key_env": "UP_API_KEY"}
    config["hosts"]["outside"] = {"base_url": base, "api_key_env": "OUTSIDE_API_KEY"}
    config["providers"].append({"name": "fixed", "host": "outside", "model": "remote"})


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("keys")
    environ = {"OUTSIDE_API_KEY": "outside-0123456789"}
    with Site(folder / "config", folder / "data", edit=keyed, environ=environ) as site:
        yield site


@pytest.fixture
def operator(own: Site, visitor_at) -> Visitor:
    own.dotenv.write_text("# mine\nOTHER=1 # kept\n")
    arrived = visitor_at(own)
    arrived.open()
    arrived.tab("Providers")
    arrived.page.wait_for_selector("#keys [data-ready=true]")
    return arrived


def try_key(visitor: Visitor, provider: str):
    form = visitor.page.locator("#keys")
    form.get_by_label("Provider").select_option(provider)
    form.get_by_label("Key", exact=True).fill(KEY)
    form.get_by_role("button", name="Test with five prompts").click()
    form.locator("[data-over=true]").wait_for()
    return form


@pytest.mark.browser
def test_a_key_is_tried_beside_another_model_kept_and_never_seen_again(
    operator: Visitor, own: Site, capfd
):
    replies: list[str] = []
    operator.page.on("response", lambda r: r.request.method == "POST" and replies.append(r.text()))
    own.upstream.behave("remote", Behaviour(text="A remote answer."))
    card = operator.page.locator("#providers .rt-unset")
    expect(card).to_contain_text("3 more, each needs a key")
    form = try_key(operator, "remote")
    summaries = form.locator(".rt-tried-summary")
    expect(summaries.nth(0)).to_contain_text("remote: 5 of 5 answered, first word after")
    expect(summaries.nth(1)).to_contain_text("swift: 5 of 5 answered")
    expect(form.locator("tbody tr")).to_have_count(len(say_all("keys.prompts")))
    expect(form.locator("tbody tr").first).to_contain_text("A remote answer.")
    expect(form.locator("tbody tr").first).to_contain_text("whole")
    assert own.dotenv.read_text() == "# mine\nOTHER=1 # kept\n"
    form.get_by_role("button", name="Keep this key").click()
    expect(form.get_by_role("status")).to_contain_text("Kept in .env as UP_API_KEY")
    expect(form.get_by_role("status")).to_contain_text("remote can be asked now")
    assert KEY in own.dotenv.read_text()
    assert own.dotenv.read_text().startswith("# mine\nOTHER=1 # kept\nUP_API_KEY=")
    assert own.dotenv.stat().st_mode & 0o777 == 0o600
    call = own.upstream.calls("remote")[-1]
    assert call.headers["authorization"] == f"Bearer {KEY}"
    card.scroll_into_view_if_needed()  # a board out of sight is not refreshed
    expect(card).to_contain_text("One more needs a key")
    operator.tab("Chat")
    operator.answered("Say something.", "remote")
    expect(operator.answer()).to_contain_text("A remote answer.")
    for board in ("Settings", "Log", "Overview", "Providers"):
        operator.tab(board)
    nowhere(operator, own, replies, capfd.readouterr())


def nowhere(visitor: Visitor, site: Site, replies: list[str], printed: object) -> None:
    """The key is in no reply, document, storage, file but `.env`, row of the log, or line."""
    page = visitor.page
    assert len(replies) > 5
    texts = {"replies": "".join(replies), "printed": str(printed)}
    texts["document"] = page.content() + page.evaluate(
        "() => [...document.querySelectorAll('input, textarea')].map(one => one.value).join()"
    )
    texts["browser"] = page.evaluate(
        "() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie,"
        " location.href, history.state])"
    )
    cookies = {one["name"]: one["value"] for one in visitor.context.cookies()}
    with httpx.Client(base_url=site.url, cookies=cookies, timeout=20) as http:
        for path in ("/", "/config", "/gradio_api/info"):
            texts[path] = http.get(path).text
    texts["log"] = json.dumps(site.run(site.router.interactions(limit=None)), default=str)
    audits = site.router.services.log.audits(("key.kept",), limit=10)
    texts["audit"] = json.dumps(site.run(audits), default=str)
    texts["settings"] = repr(site.router.settings) + site.router.settings.model_dump_json()
    files = [p for p in Path(site.config).parent.rglob("*") if p.is_file() and p != site.dotenv]
    assert any(p.suffix == ".db" for p in files)
    found = [name for name, text in texts.items() if KEY in text]
    found += [str(p) for p in files if KEY.encode() in p.read_bytes()]
    assert found == []
    assert "key.kept" in texts["audit"]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("behaviour", "line"),
    [
        (Behaviour(status=401), "Wrong key: upstream refused it"),
        (
            Behaviour(
                status=402, body=error_body("Insufficient credits", "billing", "insufficient_quota")
            ),
            "No credit: upstream knows the key",
        ),
        (Behaviour(status=404), "Unknown model: upstream takes the key, but does not know hostile"),
        (Behaviour(status=401, body=error_body(f"bad key {KEY}", "auth")), "Wrong key"),
    ],
)
def test_a_key_that_does_not_work_is_one_line_and_one_call(
    operator: Visitor, own: Site, behaviour: Behaviour, line: str
):
    own.upstream.behave("hostile", behaviour)
    before = len(own.upstream.calls("hostile"))
    form = try_key(operator, "hostile")
    expect(form.locator(".rt-tried-summary").first).to_contain_text(f"hostile failed: {line}")
    expect(form.locator("tbody tr").last).to_contain_text("Not asked")
    expect(form.get_by_role("button", name="Keep this key")).to_be_hidden()
    assert len(own.upstream.calls("hostile")) == before + 1
    assert KEY not in operator.page.content()


@pytest.mark.browser
def test_another_key_takes_the_place_of_a_trial_that_runs(operator: Visitor, own: Site):
    own.upstream.behave("hostile", ENDLESS)
    own.upstream.behave("remote", Behaviour(text="A remote answer."))
    form = operator.page.locator("#keys")
    form.get_by_label("Provider").select_option("hostile")
    form.get_by_label("Key", exact=True).fill(KEY)
    before = len(own.upstream.calls("hostile"))
    form.get_by_role("button", name="Test with five prompts").click()
    own.until(lambda: len(own.upstream.calls("hostile")) == before + 1)
    try_key(operator, "remote")
    expect(form.locator(".rt-tried-summary").first).to_contain_text("remote: 5 of 5 answered")
    own.until(lambda: own.upstream.calls("hostile")[-1].outcome == "aborted")


@pytest.mark.browser
def test_what_is_no_key_and_a_variable_of_the_environment_are_said_in_a_line(operator: Visitor):
    form = operator.page.locator("#keys")
    form.get_by_label("Provider").select_option("remote")
    form.get_by_label("Key", exact=True).fill("two words")
    form.get_by_role("button", name="Test with five prompts").click()
    expect(form.get_by_role("status")).to_contain_text("no spaces, quotes or accented letters")
    form.get_by_label("Provider").select_option("fixed")
    expect(form).to_contain_text("OUTSIDE_API_KEY is set in the environment, which wins over .env")
    expect(form.get_by_role("button", name="Test with five prompts")).to_be_disabled()


def events(http: httpx.Client, form: str = "keys") -> dict[str, int]:
    """The numbers of a form's events."""
    config = http.get("/config").json()
    ident = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == form)
    return {
        target[1]: one["id"]
        for one in config["dependencies"]
        for target in one["targets"]
        if target[0] == ident
    }


def trigger(
    http: httpx.Client, number: int, data: dict[str, str], tab: str = "tab", **headers: str
):
    body = {"data": [], "fn_index": number, "event_data": data, "session_hash": tab}
    reply = http.post("/gradio_api/run/predict", json=body, headers=headers)
    assert reply.status_code == 200
    return reply.json()["data"][0]


@pytest.mark.parametrize("headers", [{"x-forwarded-for": "10.0.0.1"}, {"via": "1.1 proxy"}])
def test_nobody_gives_a_key_through_a_proxy_without_a_login(own: Site, headers):
    own.dotenv.touch()
    with httpx.Client(base_url=own.url, timeout=20) as http:
        known = events(http)
        calls = len(own.upstream.calls("remote"))
        sent = {"provider": "remote", "key": KEY}
        assert "at this machine" in trigger(http, known["test"], sent, **headers)["problem"]
        assert trigger(http, known["refresh"], {}, **headers)["offered"] == []
        here = trigger(http, known["test"], sent)
        for tab, more in (("tab", headers), ("another", {})):
            kept = trigger(http, known["keep"], {"trial": here["trial"]}, tab, **more)
            assert "problem" in kept
    assert not own.dotenv.exists() or KEY not in own.dotenv.read_text()
    assert len(own.upstream.calls("remote")) == calls


@pytest.mark.parametrize("allow", [False, True])
def test_whoever_signed_in_gives_keys_only_where_it_is_allowed(tmp_path: Path, allow: bool):
    environ = {"ROUTER_UI_AUTH": "ada:correct horse"}
    where = tmp_path / "config", tmp_path / "data"
    with Site(*where, edit=keyed, environ=environ, allow_keys=allow) as site:
        away = {"x-forwarded-for": "10.0.0.1"}
        with httpx.Client(base_url=site.url, timeout=20) as http:
            http.post("/login", data={"username": "ada", "password": "correct horse"})
            known = events(http)
            shown = trigger(http, known["test"], {"provider": "remote", "key": KEY}, **away)
            if allow:
                kept = trigger(http, known["keep"], {"trial": shown["trial"]}, **away)
                assert "Kept in .env as UP_API_KEY" in kept["said"]
            else:
                assert "--allow-keys" in shown["problem"]
        assert site.dotenv.exists() is allow


def test_a_page_that_may_not_write_has_no_form(tmp_path: Path):
    with Site(tmp_path / "config", tmp_path / "data", edit=keyed, write=False) as site:
        config = httpx.get(f"{site.url}/config", timeout=20).json()
    assert not any(c["props"].get("elem_id") == "keys" for c in config["components"])


def test_a_key_is_not_kept_for_an_address_that_changed_since_its_test(tmp_path: Path):
    with (
        Site(tmp_path / "config", tmp_path / "data", edit=keyed) as site,
        httpx.Client(base_url=site.url, timeout=20) as http,
    ):
        known = events(http)
        shown = trigger(http, known["test"], {"provider": "remote", "key": KEY})
        file = site.config / "providers.yaml"
        file.write_text(file.read_text().replace(site.upstream.base_url, "https://e.example/v1"))
        while "e.example" not in str(trigger(http, known["refresh"], {})["offered"]):
            pass  # it is taken in within a second or two
        kept = trigger(http, known["keep"], {"trial": shown["trial"]})
        assert "has changed since the test" in kept["problem"]
    assert not site.dotenv.exists()

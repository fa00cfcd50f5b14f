"""A model is added on the page: seen as a difference, made, asked, and taken back by a click."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import yaml
from playwright.sync_api import expect

from config.errors import UsageError
from tests.ui.conftest import Site, Visitor
from tests.ui.test_keys import events, trigger
from tests.upstream import Behaviour
from ui.boards.new_model import wanted

FILLED = {
    "name": "acme-70b",
    "address": "http://127.0.0.1:9/v1/",
    "model": "llama-70b",
    "variable": "",
    "reason": "cheaper",
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("new")

    def apart(config):
        """Each order written out: YAML would make aliases of one list."""
        config["priorities"] = {name: list(order) for name, order in config["priorities"].items()}

    with Site(folder / "config", folder / "data", edit=apart) as site:
        site.upstream.behave("llama-70b", Behaviour(text="An answer of the new one."))
        yield site


def entry_of(site: Site, *, here: bool = True, **changed: str):
    return wanted(site.router.settings, FILLED | changed, here=here)


def test_a_model_at_a_new_address_brings_a_host_whose_key_is_bound(own: Site):
    one = entry_of(own, variable="ACME_API_KEY", input="0.1", output="0.2", place="first")
    assert one.entry["cost"] == {"input": 0.1, "output": 0.2}
    assert one.host == {
        "base_url": "http://127.0.0.1:9/v1",
        "api_key_env": "ACME_API_KEY",
        "bound_key": True,
    }
    assert one.first


def test_a_model_at_a_known_address_uses_that_host(own: Site):
    one = entry_of(own, address=own.upstream.base_url)
    assert (one.entry["host"], one.host) == ("upstream", None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": ""}, "“Name” needs a value"),
        ({"model": " "}, "“Model” needs a value"),
        ({"name": "two words"}, "a name has letters"),
        ({"address": "127.0.0.1:9"}, "http"),
        ({"address": "https://user:secret@a.example/v1"}, "before the @"),
        ({"address": "http://169.254.169.254/v1"}, "no model is served"),
        ({"variable": "ROUTER_UI_AUTH"}, "must be in capitals"),
        ({"variable": "LOCKED_KEY"}, "is the key of locked already"),
        ({"input": "1"}, "two of them or none"),
        ({"input": "-1", "output": "1"}, "two of them or none"),
        ({"input": "nan", "output": "1"}, "two of them or none"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(own: Site, changed: dict[str, str], said: str):
    with pytest.raises(UsageError, match=said) as refused:
        entry_of(own, **changed)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/v1", "https://10.0.0.8/v1"])
def test_who_sits_elsewhere_names_no_inner_address(own: Site, address: str):
    with pytest.raises(UsageError, match="only whoever sits at this machine"):
        entry_of(own, here=False, address=address)


def test_nobody_adds_a_model_through_a_proxy_without_a_login(own: Site):
    before = (own.config / "providers.yaml").read_bytes()
    with httpx.Client(base_url=own.url, timeout=20) as http:
        known = events(http, "add")
        for event in ("look", "make", "undo"):
            shown = trigger(http, known[event], FILLED, **{"x-forwarded-for": "10.0.0.1"})
            assert "at this machine" in shown["problem"]
            assert shown["may"] is False
    assert (own.config / "providers.yaml").read_bytes() == before


@pytest.mark.browser
def test_a_model_is_added_seen_asked_and_taken_back(own: Site, visitor_at):
    visitor: Visitor = visitor_at(own)
    page = visitor.open()
    before = (own.config / "providers.yaml").read_bytes()
    visitor.tab("Providers")
    form = page.locator("#add")
    form.locator("summary").click()
    for label, text in (
        ("Name", "acme-70b"),
        ("Address", own.upstream.base_url),
        ("Model", "llama-70b"),
    ):
        form.get_by_label(label, exact=True).fill(text)
    form.get_by_role("button", name="Show the difference").click()
    expect(form.get_by_role("status")).to_contain_text("Say why in a few words")
    form.get_by_label("Reason", exact=True).fill("cheaper")
    form.get_by_role("button", name="Show the difference").click()
    expect(form.locator(".rt-diff")).to_contain_text("acme-70b")
    assert (own.config / "providers.yaml").read_bytes() == before
    form.get_by_role("button", name="Add this model").click()
    expect(form.get_by_role("status")).to_contain_text("Added. It can be asked within")
    written = yaml.safe_load((own.config / "providers.yaml").read_text())
    assert {order[0] for order in written["priorities"].values()} == {"acme-70b"}
    card = page.locator('#providers [data-provider="acme-70b"]')
    page.locator("#providers").scroll_into_view_if_needed()
    expect(card).to_contain_text("llama-70b at upstream")
    visitor.tab("Chat")
    visitor.answered("Say something.", "acme-70b")
    expect(visitor.answer()).to_contain_text("An answer of the new one.")
    visitor.tab("Providers")
    form.get_by_role("button", name="Undo the last change").click()
    expect(form.get_by_role("status")).to_contain_text("the addition of `acme-70b`")
    assert (own.config / "providers.yaml").read_bytes() == before

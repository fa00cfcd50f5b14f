"""A request of the Log becomes a probe: seen first, with a reason, and undone."""

import pytest
from playwright.sync_api import expect

from config.probe_sets import load_made
from tests.ui.conftest import Site, Visitor

pytestmark = pytest.mark.browser


def open_request(visitor: Visitor, request: str) -> None:
    visitor.page.goto(f"{visitor.site.url}/#/log/{request}")
    visitor.page.wait_for_selector(f'#replay [data-request="{request}"][data-phase="done"]')


def test_a_request_is_made_a_probe_seen_first_and_undone(visitor: Visitor):
    page, site = visitor.page, visitor.site
    request = visitor.answered("Which port does HTTPS use, <b>please</b>?", "swift")
    open_request(visitor, request)
    page.get_by_role("button", name="Make a probe").click()
    form = page.locator("#probe")
    expect(form.get_by_label("Prompt", exact=True)).to_have_value(
        "Which port does HTTPS use, <b>please</b>?"
    )
    form.get_by_label("Category").select_option("technical")
    form.get_by_label("What a right answer has").fill("443")
    form.get_by_role("button", name="Show the difference").click()
    expect(form.get_by_label("The difference")).to_contain_text("+  prompt: Which port does HTTPS")
    form.get_by_role("button", name="Make this a probe").click()
    expect(form.get_by_role("status")).to_contain_text("Say why in a few words")
    assert load_made(site.config).probes == ()
    form.get_by_role("button", name="Show the difference").click()
    form.get_by_label("Reason").fill("asked twice a day")
    form.get_by_role("button", name="Make this a probe").click()
    expect(form.get_by_role("status")).to_contain_text("Made. New models of technical are asked it")
    (made,) = load_made(site.config).probes
    assert (made.category, made.checks[0].contains) == ("technical", ("443",))
    assert made.prompt == "Which port does HTTPS use, <b>please</b>?"
    form.get_by_role("button", name="Undo the last change").click()
    expect(form.get_by_role("status")).to_contain_text("addition of the probe")
    assert load_made(site.config).probes == ()


def test_without_texts_the_prompt_is_pasted_and_nobody_else_may(tmp_path_factory, visitor_at):
    folder = tmp_path_factory.mktemp("textless")

    def textless(config: dict) -> None:
        config["log"] = {"text": False}

    with Site(folder / "config", folder / "data", edit=textless) as site:
        visitor = visitor_at(site)
        page = visitor.open()
        request = visitor.answered("Which port does HTTPS use?", "swift")
        open_request(visitor, request)
        page.get_by_role("button", name="Make a probe").click()
        form = page.locator("#probe")
        expect(form.get_by_label("Prompt", exact=True)).to_have_value("")
        form.get_by_label("Prompt", exact=True).fill("Short")
        form.get_by_label("What a right answer has").fill("443")
        form.get_by_role("button", name="Show the difference").click()
        expect(form.get_by_role("status")).to_contain_text("this one has 5")
        proxied = visitor_at(site, extra_http_headers={"x-forwarded-for": "203.0.113.9"})
        proxied.open()
        open_request(proxied, request)
        proxied.page.wait_for_selector('#probe .rt-view[data-may="false"]', state="attached")
        expect(proxied.page.get_by_role("button", name="Make a probe")).to_be_hidden()
        visitor.page.close()
        proxied.page.close()

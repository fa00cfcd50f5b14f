"""A past request is asked again with other models beside it, and teaches the classifier."""

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import Visitor

pytestmark = pytest.mark.browser


def test_a_past_request_is_asked_again_beside_other_models(visitor: Visitor):
    prompt = "How long do I boil an ostrich egg?"
    request = visitor.answered(prompt, "swift")
    visitor.page.goto(f"{visitor.site.url}/#/log/{request}")
    visitor.page.wait_for_selector(f'#replay [data-request="{request}"][data-phase="done"]')
    visitor.page.locator("#replay").get_by_role("button", name="Ask beside others").click()
    visitor.page.wait_for_url("**#/compare")
    expect(visitor.page.locator("#compare textarea")).to_have_value(prompt)
    expect(visitor.page.locator("#compare textarea")).to_be_focused()


def test_a_past_request_becomes_an_example_of_its_category(visitor: Visitor):
    prompt = "Compose an ode to the humble paperclip."
    request = visitor.answered(prompt, "swift")
    visitor.page.goto(f"{visitor.site.url}/#/log/{request}")
    visitor.page.wait_for_selector(f'#replay [data-request="{request}"][data-phase="done"]')
    category = visitor.page.locator("#replay .rt-badge-menu").input_value()
    visitor.page.locator("#replay").get_by_role("button", name="Make an example").click()
    router = visitor.site.router
    for _ in range(2_000):
        taught = {one["prompt"]: one["category"] for one in visitor.site.run(router.taught())}
        if prompt in taught:
            break
        visitor.page.wait_for_function("() => new Promise(requestAnimationFrame).then(() => true)")
    assert taught[prompt] == category

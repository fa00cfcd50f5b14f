"""The sliders below the ranking, in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import Visitor


@pytest.mark.browser
def test_a_slider_says_what_would_have_been_and_changes_nothing(visitor: Visitor):
    page, site = visitor.page, visitor.site
    site.run(site.router.answer("What is the capital of Australia?"))
    before = site.router.settings.ranking
    visitor.tab("Ranking")
    slider = page.get_by_label("How much cost lowers a score")
    expect(slider).to_have_value(str(before.cost_weight))
    for weight in ("0.6", "0.7"):  # the second result equals the first
        slider.fill(weight)
        slider.dispatch_event("change")
        expect(page.locator("#whatif [role=status]")).to_contain_text("Not enough data")
    expect(page.locator("#whatif tbody tr").first).to_be_visible()
    assert site.router.settings.ranking == before

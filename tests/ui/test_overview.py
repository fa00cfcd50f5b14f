"""The first board: figures over a time, and the way from them to their requests."""

import pytest
from playwright.sync_api import expect

from telemetry.traffic import Part, Passed
from tests.ui.conftest import Visitor
from ui.boards.log import Filters
from ui.boards.overview import Figures

QUICK = Passed(True, False, False, 100.0, 50.0, 0.001, "swift", "general", 10, 20)


def test_a_sample_stands_for_all_requests_of_its_part():
    busy = Part(0.0, 1.0, 100, [QUICK, QUICK._replace(success=False)])
    calm = Part(1.0, 2.0, 1, [QUICK])
    figures = Figures([busy, calm, Part(2.0, 3.0, 0, [])])
    assert figures.requests == 101
    assert figures.share(lambda one: one.success) == pytest.approx(51 / 101)
    assert figures.total(lambda one: one.tokens_out or 0) == pytest.approx(2020)


def test_what_is_no_filter_narrows_nothing():
    odd = {"outcome": "odd", "order": "odd", "from": "nan", "to": "x", "page": "-3"}
    assert Filters.of(odd) == Filters()
    assert Filters.of({"page": "1e99"}).page == 10_000


@pytest.mark.browser
def test_a_column_of_the_overview_leads_to_its_requests(visitor: Visitor):
    request = visitor.answered("Why does a quagga have stripes?", "swift")
    visitor.tab("Overview")
    expect(visitor.page.locator("#overview .rt-tile").first).to_contain_text("Requests")
    visitor.page.get_by_role("button", name="Last hour").click()
    visitor.page.wait_for_selector('#overview .rt-view[data-period="hour"]')
    visitor.page.locator("#overview .rt-column").last.click()
    visitor.page.wait_for_url("**#/log?from=*")
    visitor.page.wait_for_selector(f'#log-rows tr[data-id="{request}"]')


@pytest.mark.browser
def test_filters_are_in_the_address(visitor: Visitor):
    visitor.answered("Why does a quagga have stripes?", "swift")
    visitor.tab("Log")
    visitor.page.locator("#log-search").fill("quagga stripes")
    visitor.page.locator("#log-outcome").select_option("answered")
    visitor.page.wait_for_url("**#/log?words=quagga+stripes&outcome=answered")
    address = visitor.page.url
    visitor.page.goto("about:blank")
    visitor.page.goto(address)
    expect(visitor.page.locator("#log-search")).to_have_value("quagga stripes")
    expect(visitor.page.locator("#log-outcome")).to_have_value("answered")
    expect(visitor.page.locator("#log-rows tbody tr")).not_to_have_count(0)
    visitor.page.locator("#show-all").click()
    expect(visitor.page.locator("#log-search")).to_have_value("")

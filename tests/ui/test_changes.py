"""The configuration is changed on the page: as a difference first, and taken back by a click."""

import pytest
import yaml
from playwright.sync_api import expect
from starlette.requests import Request

from config.errors import UsageError
from tests.ui.conftest import Site, Visitor
from tests.ui.replies import holding, until
from ui.boards.changes import Setting, offered
from ui.permissions import may_change

ORDER = Setting(("priorities", "general"), "order", ["a", "b"], "")
LIMIT = Setting(("limits", "ttft_s"), "number", 3.0, "")


def sent(client: str, host: str) -> Request:
    headers = [(b"host", host.encode())]
    return Request({"type": "http", "headers": headers, "client": (client, 5)})


@pytest.mark.parametrize(
    ("client", "host", "may"),
    [
        ("127.0.0.1", "127.0.0.1:7860", True),
        ("::1", "localhost:7860", True),
        ("192.168.1.4", "127.0.0.1:7860", False),
        ("127.0.0.1", "router.example.com", False),
        ("10.0.0.1", "router.example.com", False),
    ],
)
def test_only_this_machine_may_change_without_a_login(client: str, host: str, may: bool):
    assert may_change(sent(client, host)) is may


@pytest.mark.parametrize(
    ("setting", "given", "said"),
    [
        (ORDER, ["a"], "same models"),
        (ORDER, ["a", "c"], "same models"),
        (ORDER, "a", "same models"),
        (LIMIT, "soon", "a number"),
        (LIMIT, "-1", "a number"),
        (LIMIT, "nan", "a number"),
        (Setting(("providers", "p", "max_tokens"), "whole", None, ""), "1.5", "a whole number"),
        (Setting(("providers", "p", "model"), "text", "m", ""), " ", "needs a value"),
    ],
)
def test_what_is_no_value_is_refused_in_a_sentence(setting: Setting, given: object, said: str):
    with pytest.raises(UsageError, match=said):
        setting.assignment(given)


def test_nothing_takes_a_value_away():
    assert LIMIT.assignment("").value is None


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A page whose configuration may be changed by a test."""
    folder = tmp_path_factory.mktemp("changes")

    def apart(config):
        """Each order written out: YAML would make aliases of one list."""
        config["priorities"] = {name: list(order) for name, order in config["priorities"].items()}

    with Site(folder / "config", folder / "data", edit=apart) as site:
        yield site


@pytest.fixture
def operator(own: Site, visitor_at) -> Visitor:
    arrived = visitor_at(own)
    arrived.open()
    arrived.tab("Settings")
    arrived.page.wait_for_selector("#changes [data-ready=true]")
    return arrived


def written(site: Site) -> dict:
    return yaml.safe_load((site.config / "providers.yaml").read_text())


@pytest.mark.browser
def test_an_order_is_dragged_seen_as_a_difference_made_and_taken_back(operator: Visitor):
    page, before = operator.page, written(operator.site)
    first, second, *rest = before["priorities"]["technical"]
    page.get_by_label("What to change").select_option("priorities/technical")
    items = page.locator("#changes .rt-sortable li")
    items.nth(1).drag_to(items.nth(0), target_position={"x": 20, "y": 3})
    expect(items.first).to_have_attribute("data-name", second)
    page.get_by_role("button", name="Show the difference").click()
    expect(page.locator("#changes [role=status]")).to_contain_text("Say why in a few words")
    page.get_by_label("Reason", exact=True).fill("steadier at night")
    page.get_by_role("button", name="Show the difference").click()
    expect(page.locator("#changes .rt-diff [data-line=added]").last).to_contain_text(f"- {second}")
    assert written(operator.site) == before
    page.get_by_role("button", name="Make this change").click()
    expect(page.locator("#changes [role=status]")).to_contain_text("Made.")
    assert written(operator.site)["priorities"]["technical"] == [second, first, *rest]
    noted = (operator.site.config / ".changes" / "journal.jsonl").read_text()
    assert "steadier at night" in noted
    page.get_by_role("button", name="Undo the last change").last.click()
    expect(page.locator("#changes [role=status]")).to_contain_text("Undid the change")
    assert written(operator.site) == before


@pytest.mark.browser
def test_a_limit_is_changed_and_soon_in_force(operator: Visitor):
    page, site = operator.page, operator.site
    page.get_by_label("What to change").select_option("budget/daily_usd")
    page.get_by_label("New value").fill("2.5")
    page.get_by_label("Reason", exact=True).fill("a month's end")
    page.get_by_role("button", name="Show the difference").click()
    expect(page.locator("#changes .rt-diff")).to_contain_text("+budget: {daily_usd: 2.5}")
    page.get_by_role("button", name="Make this change").click()
    expect(page.locator("#changes [role=status]")).to_contain_text("Made.")
    for _ in range(2_000):
        if site.router.settings.budget.daily_usd == 2.5:
            break
        page.wait_for_function("() => new Promise(requestAnimationFrame).then(() => true)")
    assert site.router.settings.budget.daily_usd == 2.5


@pytest.mark.browser
def test_only_what_was_seen_is_made(operator: Visitor):
    page, before = operator.page, written(operator.site)
    diff, make = page.locator("#changes .rt-diff"), page.get_by_text("Make this change")
    page.get_by_label("What to change").select_option("limits/stall_s")
    page.get_by_label("Reason", exact=True).fill("slow nights")
    with holding(operator, "changes", "look") as held:
        page.get_by_label("New value").fill("11")
        page.get_by_role("button", name="Show the difference").click()
        until(operator, lambda: bool(held))
        page.get_by_label("New value").fill("12")
        with page.expect_response("**/gradio_api/run/**"):
            held[0].continue_()
        page.get_by_role("button", name="Show the difference").click()
        until(operator, lambda: len(held) == 2)
        expect(diff).to_be_hidden()
        held[1].continue_()
    expect(diff).to_contain_text("stall_s: 12")
    operator.tab("Log")
    operator.tab("Settings")
    expect(make).to_be_visible()
    page.get_by_label("New value").fill("13")
    expect(make).to_be_hidden()
    assert written(operator.site) == before


@pytest.mark.browser
def test_what_the_file_would_not_bear_is_refused_and_changes_nothing(operator: Visitor):
    page, before = operator.page, written(operator.site)
    page.get_by_label("What to change").select_option("providers/swift/temperature")
    page.get_by_label("New value").fill("7")
    page.get_by_label("Reason", exact=True).fill("livelier")
    page.get_by_role("button", name="Show the difference").click()
    expect(page.locator("#changes [role=status]")).to_contain_text("Nothing was changed")
    assert written(operator.site) == before


def test_all_that_is_offered_is_in_force_and_named_once(settings_for):
    keys = [one.key for one in offered(settings_for())]
    assert len(keys) == len(set(keys))
    assert "limits/ttft_s" in keys

"""What the router changes on its own is said on a page that is open already."""

import pytest
import yaml
from playwright.sync_api import expect

from tests.ui.conftest import Site, Visitor
from tests.ui.test_boards import rows_of, write
from ui.boards.priorities import reasons, why
from ui.news import item

HOSTILE = "<img src=x onerror=window.owned=1>${window.owned=2}"


def row(kind, subject="model-x", **detail):
    return {"at": 1_700_000_000.0, "kind": kind, "subject": subject, "detail": detail}


def test_a_promotion_names_category_model_and_reason():
    said = item(row("discovery.promoted", category="technical", reason="0.71 against 0.62"))
    assert said["text"] == "technical: model-x was promoted from its trial"
    assert said["why"] == "0.71 against 0.62."
    assert said["state"] == "done"


def test_a_trial_that_failed_is_a_removal():
    said = item(row("discovery.rolled_back", category="technical", reason="its breaker opened"))
    assert said["text"] == "technical: model-x was taken out again: its trial failed"
    assert said["state"] == "failed"


def test_a_new_first_is_named_with_whom_it_replaced():
    found = {"category": "general", "before": ["a", "b", "c"], "why": "general: b before a: faster"}
    said = item(row("reranked", "general", after=["b", "a", "c"], **found))
    assert said["text"] == "general: b is asked first now, in the place of a"
    assert said["why"] == "faster."
    said = item(row("reranked", "general", after=["a", "c", "b"], **found))
    assert said["text"] == "general: the order is now a, c, b"
    assert said["why"] == "b before a: faster."


def test_a_row_without_details_still_has_a_line():
    for kind in ("reranked", "discovery.appended", "discovery.refused", "discovery.undone"):
        assert item(row(kind))["text"]


def on_trial(name, written):
    """A simulated provider that the application itself once appended."""
    own = {**written["providers"][0], "name": name, "model": f"{name}-1"}
    written["providers"].append({**own, "added": "2026-11-20", "trial": {"share": 0.05}})
    written["priorities"]["creative"] = [*written["priorities"]["creative"], name]


def two_trials(written):
    on_trial("promising", written)
    on_trial("doomed", written)


@pytest.fixture(scope="module")
def trying(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trying")
    with Site(folder / "config", folder / "data", edit=two_trials) as site:
        yield site


def toast(visitor: Visitor, text: str):
    return visitor.page.locator(".rt-toast").filter(has_text=text)


@pytest.mark.browser
def test_how_trials_end_is_seen_on_an_open_page_without_a_reload(trying: Site, visitor_at):
    visitor = visitor_at(trying)
    visitor.open()
    visitor.page.wait_for_selector("#news .rt-view[data-ready]", state="attached")
    visitor.tab("Find models")
    trials = visitor.page.locator("#trials")
    expect(trials.locator('[data-provider="promising"]')).to_contain_text("5 % of creative")
    expect(trials.locator('[data-provider="promising"]')).to_contain_text("Too early to judge")

    write(trying, [*rows_of("promising", "ok", 60), *rows_of("swift", "failed", 40)])
    expect(toast(visitor, "creative: promising was promoted from its trial")).to_be_visible()
    expect(toast(visitor, "promising")).to_contain_text("as good or better: reward")
    expect(trials.locator(".rt-happened")).to_contain_text("promising was promoted")
    expect(trials.locator('[data-provider="promising"]')).to_have_count(0)

    write(trying, rows_of("doomed", "failed", 60))
    expect(toast(visitor, "creative: doomed was taken out again")).to_be_visible()
    expect(toast(visitor, "doomed")).to_contain_text("certainly worse")
    expect(trials).to_contain_text("No model is on trial")
    names = {p["name"]: p for p in yaml.safe_load(config_of(trying))["providers"]}
    assert "doomed" not in names
    assert "trial" not in names["promising"]
    kinds = [r["kind"] for r in trying.run(trying.router.news()) if r["kind"] != "reranked"]
    assert kinds[:2] == ["discovery.rolled_back", "discovery.promoted"]
    toast(visitor, "doomed").get_by_label("Close").click()
    expect(toast(visitor, "doomed")).to_have_count(0)


def config_of(site: Site) -> str:
    return (site.config / "providers.yaml").read_text()


@pytest.mark.browser
def test_a_new_order_is_said_wherever_the_reader_is(trying: Site, visitor_at):
    router = trying.router
    first, other = trying.run(router.priorities())["general"]["learned"][:2]
    visitor = visitor_at(trying)
    visitor.open()
    visitor.page.wait_for_selector("#news .rt-view[data-ready]", state="attached")
    visitor.tab("Settings")

    async def disappoint():
        good = rows_of(other, "ok", 40, "general")
        for found, attempts in [*rows_of(first, "failed", 40, "general"), *good]:
            await router.services.log.write(found, attempts)
        await router.services.routing.catch_up(router.services.log)
        await router.answer("How long do I boil an egg?", category="general")

    trying.run(disappoint())
    said = toast(visitor, f"general: {other} is asked first now, in the place of {first}")
    expect(said).to_be_visible()
    found = trying.run(router.priorities())["general"]
    assert found["last_change"]["why"].split(": ")[-1] in said.inner_text()


@pytest.mark.browser
def test_hostile_names_in_the_news_stay_text(trying: Site, visitor_at):
    visitor = visitor_at(trying)
    visitor.open()
    visitor.page.wait_for_selector("#news .rt-view[data-ready]", state="attached")
    found = {"category": HOSTILE, "reason": HOSTILE}
    trying.run(trying.router.services.log.audit("discovery.refused", HOSTILE, found))
    expect(toast(visitor, "was tried and not taken in")).to_contain_text(HOSTILE)
    visitor.tab("Find models")
    expect(visitor.page.locator("#trials .rt-happened")).to_contain_text(HOSTILE)
    assert visitor.page.evaluate("() => window.owned") is None


def test_the_ranking_gives_the_reason_that_was_noted_for_the_order_in_force():
    rows = [row("reranked", "general", category="general", after=["b", "a"], why="noted")]
    rows += [row("reranked", "general", category="general", after=["a", "b"], why="older")]
    noted = reasons(rows)["general"]
    worded_anew = {"learned": ["b", "a"], "last_change": {"why": "worded anew"}}
    assert why(worded_anew, noted) == "noted"
    assert why({**worded_anew, "learned": ["a", "b"]}, noted) == "worded anew"
    assert why({"learned": ["a"], "last_change": None}, None) is None

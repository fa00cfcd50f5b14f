"""Side by side: unnamed, voted on, and learned from."""

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import Visitor
from tests.upstream import Behaviour
from ui.boards.compare import interval, standings


def compared(winner: str, *models: str):
    return {"at": 0.0, "kind": "compared", "subject": winner, "detail": {"models": list(models)}}


def test_who_wins_against_whom_is_counted_by_pairs():
    rows = [compared("a", "a", "b", "c"), compared("a", "a", "b"), compared("b", "a", "b")]
    rows.append(compared("", "a", "b"))  # nobody was better
    found = [(one["first"], one["second"], one["share"], one["n"]) for one in standings(rows)]
    assert found == [("a", "b", "67 %", 3), ("a", "c", "100 %", 1)]


def test_an_interval_narrows_and_stays_a_share():
    (few_low, few_high), (low, high) = interval(3, 4), interval(300, 400)
    assert 0.0 <= few_low < low < 0.75 < high < few_high <= 1.0
    assert interval(0, 1)[0] == 0.0
    assert interval(1, 1)[1] == 1.0


@pytest.mark.browser
def test_two_models_are_compared_unnamed_and_a_vote_is_learned_from(visitor: Visitor):
    page, site = visitor.page, visitor.site
    site.upstream.behave("remote", Behaviour(text="The remote one."))
    visitor.tab("Compare")
    page.get_by_label("Prompt to compare").fill("Who are you?")
    for name in ("remote", "swift"):
        page.locator(f'#compare input[value="{name}"]').check()
    page.locator("#compare-ask").click()
    cards = page.locator("#compare .rt-compared")
    expect(cards).to_have_count(2)
    assert all(head in ("A", "B") for head in cards.locator("h3").all_inner_texts())
    best = cards.filter(has_text="The remote one.").get_attribute("data-letter")
    page.get_by_role("button", name=f"{best} is the best").click()
    expect(cards.filter(has_text="The remote one.").locator("h3")).to_have_text(f"{best}: remote")
    expect(page.locator("#compare tbody tr")).to_contain_text("remote")
    (row,) = site.run(site.router.services.log.audits("compared"))
    found = [site.run(site.router.services.log.get(r)) for r in row["detail"]["requests"]]
    verdicts = [a for one in found for a in one["attempts"] if a["role"] == "compare"]
    better = {(a["provider"], a["against"], a["verdict"]) for a in verdicts}
    assert better in ({("remote", "swift", 1.0)}, {("swift", "remote", 0.0)})
    assert row["subject"] == "remote"
    assert [one["liked"] for one in found] == [None, None]

"""What today cost of what it may cost, said in words."""

import pytest
from playwright.sync_api import expect

from config.models import Budget
from race.budget import Allowance
from tests.ui.conftest import Site
from tests.ui.test_boards import rows_of, write
from ui.boards.providers import abilities, overall


def said(daily_usd, spent):
    told = overall(Allowance(Budget(daily_usd=daily_usd), {"a": spent}))
    return told["state"], f"{told['said']} {told['word']}", told["share"]


def test_spending_without_a_limit_is_a_plain_figure():
    assert said(None, 0.25) == ("", "$0.2500 spent today, without a limit. ", None)


def test_spending_within_the_limit():
    state, words, share = said(1.0, 0.25)
    assert (state, share) == ("done", 0.25)
    assert words.startswith("$0.2500 spent today of $1.00. Within the limit")


def test_near_the_limit_it_leans_to_cheap_models():
    state, words, _ = said(1.0, 0.9)
    assert state == "late"
    assert "Leaning to cheap models" in words


def test_at_the_limit_paid_models_are_skipped():
    state, words, share = said(1.0, 1.2)
    assert (state, share) == ("failed", 1.0)
    assert "Limit reached: paid models are skipped until midnight UTC" in words
    assert said(0.0, 0.0)[0] == "failed"


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (
            {"declared": ["tools", "images"], "lacks": ["audio"], "learned": {}},
            [["Declared", "tools, pictures"], ["Cannot", "audio"]],
        ),
        (
            {"declared": [], "lacks": ["tools"], "learned": {"tools": "no tools here"}},
            [["Declared", "text alone"], ["Cannot", "tools"], ["Refused tools", "no tools here"]],
        ),
        (
            {"declared": None, "lacks": ["logprobs"], "learned": {"logprobs": "unsupported"}},
            [
                ["Not declared", "everything is tried that its host has not refused"],
                ["Cannot", "log probabilities"],
                ["Refused log probabilities", "unsupported"],
            ],
        ),
        (
            {"declared": None, "lacks": [], "learned": {}},
            [["Not declared", "everything is tried that its host has not refused"]],
        ),
        (
            {"declared": None, "lacks": ["tools"], "learned": {}},
            [
                ["Not declared", "text alone, as for all simulated and embedded models"],
                ["Cannot", "tools"],
            ],
        ),
    ],
)
def test_what_a_provider_can_do_is_said_plainly(known, said):
    assert abilities(known) == said


def refusing(written):
    entry = next(one for one in written["providers"] if one["name"] == "steady")
    entry["capabilities"] = ["tools"]


@pytest.mark.browser
def test_the_board_shows_what_is_declared_and_what_was_refused(tmp_path_factory, visitor_at):
    folder = tmp_path_factory.mktemp("abilities")
    with Site(folder / "config", folder / "data", edit=refusing) as site:
        capabilities = site.router.services.routing.capabilities
        capabilities.learn("swift", "images", "<b>images</b> are not supported")
        visitor = visitor_at(site)
        visitor.open()
        visitor.tab("Providers")
        steady, swift = (
            visitor.page.locator(f'[data-provider="{name}"] .rt-abilities')
            for name in ("steady", "swift")
        )
        expect(steady).to_contain_text("Declared")
        expect(steady).to_contain_text("tools")
        expect(swift).to_contain_text("Refused pictures")
        expect(swift).to_contain_text("<b>images</b> are not supported")
        visitor.leave()


def tight(written):
    written["budget"] = {"daily_usd": 0.05, "providers": {"swift": 0.001}}


@pytest.mark.browser
def test_the_board_says_what_the_budget_leaves(tmp_path_factory, visitor_at):
    folder = tmp_path_factory.mktemp("budget")
    with Site(folder / "config", folder / "data", edit=tight) as site:
        visitor = visitor_at(site)
        visitor.open()
        visitor.tab("Providers")
        board = visitor.page.locator("#providers")
        expect(board).to_contain_text("Within the limit")
        write(site, rows_of("swift", "ok", 10))
        swift = board.locator('[data-provider="swift"]')
        expect(swift).to_contain_text("Limit reached: it is skipped until midnight UTC")
        expect(swift).to_contain_text("Today's budget of $0.001 for swift is spent")
        write(site, rows_of("steady", "ok", 430))
        expect(board).to_contain_text("Leaning to cheap models: the limit is near")
        write(site, rows_of("steady", "ok", 90))
        expect(board).to_contain_text("Limit reached: paid models are skipped")
        visitor.leave()

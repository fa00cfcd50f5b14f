"""The operator's boards in a real browser."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import expect

from tests.ui.conftest import Site, Visitor

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]


def rows_of(provider: str, outcome: str, count: int, category: str = "creative"):
    """Requests as the log holds them, each with one attempt of that outcome."""
    for n in range(count):
        at = time.time() + n * 1e-4
        own = {"request_id": f"{provider}-{outcome}-{at:.6f}", "at": at, "category": category}
        ok = outcome == "ok"
        attempt = {
            **own,
            "seq": 0,
            "provider": provider,
            "model": f"{provider}-1",
            "host": "theatre",
            "role": "primary",
            "outcome": outcome,
            "error": None if ok else "server",
            "served": ok,
            "started_ms": 5.0,
            "ttft_ms": 50.0 if ok else None,
            "latency_ms": 90.0,
            "cost_usd": 0.0001,
            "quality": 0.9 if ok else None,
            "revision": 0,
        }
        row = {
            **own,
            "confidence": 0.9,
            "evidence": {"probabilities": {category: 0.9}},
            "winner": provider if ok else None,
            "role": "primary" if ok else None,
            "success": ok,
            "latency_ms": 95.0,
            "ttft_ms": 55.0,
            "cost_usd": 0.0001,
            "prompt_hash": "0" * 64,
            "error": None if ok else "no provider answered",
            "simulated": True,
        }
        yield row, [attempt]


def write(site: Site, rows):
    async def all_of_them():
        for row, attempts in rows:
            await site.router.services.log.write(row, attempts)
        board = site.router.services.routing
        await board.catch_up(site.router.services.log)
        board.ranking.settle()

    site.run(all_of_them())


def places(visitor: Visitor, category: str) -> list[str]:
    items = visitor.page.locator(f'[data-category="{category}"] .rt-rank')
    return items.evaluate_all("all => all.map(item => item.dataset.provider)")


def test_bars_move_when_the_order_changes_and_the_reason_is_shown(visitor: Visitor):
    visitor.tab("Ranking")
    visitor.page.wait_for_selector('[data-category="creative"] .rt-rank')
    first, second, *_ = places(visitor, "creative")
    write(visitor.site, [*rows_of(first, "failed", 40), *rows_of(second, "ok", 40)])
    visitor.page.wait_for_function(
        """(first) => document.querySelector('[data-category="creative"] .rt-rank')
        .dataset.provider !== first""",
        arg=first,
    )
    card = visitor.page.locator('[data-category="creative"]')
    expect(card.locator(".rt-rise").first).to_contain_text("was number")
    expect(card.locator(".rt-why")).not_to_contain_text("The configured order stands")
    expect(card.locator(".rt-course")).to_have_count(7)
    found = visitor.site.run(visitor.site.router.priorities())["creative"]
    assert places(visitor, "creative") == found["learned"]


def test_the_log_is_searched_filtered_and_opened(visitor: Visitor):
    request = visitor.answered("Why does a zebra have stripes?", "swift")
    visitor.tab("Log")
    visitor.page.locator("#log-search").fill("zebra stripes")
    expect(visitor.page.locator("#log-rows .rt-link")).to_have_count(1)
    visitor.page.locator("#log-rows .rt-link").click()
    visitor.page.wait_for_selector(f'#replay .rt-view[data-phase=done][data-request="{request}"]')
    expect(visitor.page.locator('#replay [data-node="primary"]')).to_contain_text("swift")
    expect(visitor.page.locator("#replay .rt-fall")).to_have_count(2)


def test_a_replay_is_what_was_seen_live(visitor: Visitor):
    request = visitor.answered("Write a haiku about rain.", "tardy")
    visitor.page.locator("#talk .thought").filter(has_text="answered after all").wait_for()
    live = states_in(visitor, "#picture")
    visitor.tab("Log")
    visitor.page.locator(f'#log-rows tr[data-id="{request}"] .rt-link').click()
    visitor.page.wait_for_selector(f'#replay .rt-view[data-phase=done][data-request="{request}"]')
    assert states_in(visitor, "#replay") == live


def states_in(visitor: Visitor, picture: str) -> list[str]:
    """The nodes that belong to the request; whether the order was looked at is not in its row."""
    nodes = visitor.page.locator(f"{picture} .rt-node:not([data-node=rerank])")
    return nodes.evaluate_all("all => all.map(n => `${n.dataset.node} ${n.dataset.state}`)")


def test_failed_requests_are_filtered(visitor: Visitor):
    write(visitor.site, rows_of("broken", "failed", 2, "technical"))
    visitor.tab("Log")
    visitor.page.locator("#log-outcome").select_option("failed")
    visitor.page.locator("#log-search").fill("broken")
    visitor.page.wait_for_selector('#log-rows .rt-state[data-state="failed"]')
    others = visitor.page.locator("#log-rows td .rt-state:not([data-state=failed])")
    expect(others).to_have_count(0)
    expect(visitor.page.locator("#log-rows td .rt-state").first).to_have_text("failed")


def test_the_log_is_taken_along_as_jsonl_and_csv(visitor: Visitor):
    visitor.answered("What do quokkas eat?", "swift")
    visitor.tab("Log")
    visitor.page.locator("#log-search").fill("quokkas")
    expect(visitor.page.locator("#log-rows .rt-link")).to_have_count(1)
    with visitor.page.expect_download() as download:
        visitor.page.locator("#export-jsonl").click()
    lines = download.value.path().read_text().splitlines()
    assert [json.loads(line)["prompt"] for line in lines] == ["What do quokkas eat?"]
    with visitor.page.expect_download() as download:
        visitor.page.locator("#export-csv").click()
    text = download.value.path().read_text().splitlines()
    assert text[0].startswith("request_id,at,category")
    assert len(text) == 3


def test_providers_show_breaker_success_and_cost_and_say_what_is_missing(visitor: Visitor):
    visitor.answered("What is the capital of Australia?", "swift")
    visitor.tab("Providers")
    swift = visitor.page.locator('[data-provider="swift"].rt-provider-card')
    expect(swift).to_contain_text("Breaker closed")
    expect(swift).to_contain_text("Cost today")
    unkeyed = visitor.page.locator('[data-provider="unkeyed"]')
    expect(unkeyed).to_contain_text("LOCKED_KEY is not set")
    expect(visitor.page.locator("#providers .rt-unset")).to_contain_text("One more needs a key")


def test_the_dry_run_shows_where_a_prompt_would_go(visitor: Visitor):
    called = visitor.site.upstream.requests
    visitor.tab("Dry run")
    visitor.page.locator("#route-prompt textarea").fill("Write a Python function that sorts a list")
    visitor.page.locator("#route-prompt textarea").press("Enter")
    visitor.page.wait_for_selector('#route .rt-view[data-category="technical"]')
    expect(visitor.page.locator("#route .rt-share")).to_have_count(3)
    expect(visitor.page.locator("#route .rt-nearest li").first).to_be_visible()
    expect(visitor.page.locator("#route ol .rt-step").first).to_contain_text("asked first")
    assert visitor.site.upstream.requests == called


def test_a_document_is_uploaded_ingested_and_found(visitor: Visitor, tmp_path):
    document = tmp_path / "quantum-toaster.md"
    document.write_text("# Quantum toasters\n\nA quantum toaster browns both sides of the bread.")
    visitor.tab("Knowledge")
    visitor.page.locator("input[type=file]:not(#attached *)").first.set_input_files(document)
    expect(visitor.page.locator("#ingest-progress")).to_contain_text("1 added")
    expect(visitor.page.locator("#documents")).to_contain_text("Quantum toasters")
    visitor.page.locator("#knowledge-question textarea").fill("What does a quantum toaster brown?")
    visitor.page.locator("#knowledge-question textarea").press("Enter")
    expect(visitor.page.locator("#passages .rt-passage").first).to_contain_text("both sides")
    expect(visitor.page.locator("#passages .rt-share-text").first).not_to_be_empty()


def test_the_settings_name_their_source_and_hide_keys(visitor: Visitor):
    visitor.tab("Settings")
    row = visitor.page.locator("#settings tr").filter(has_text="limits.stall_s")
    expect(row).to_contain_text("providers.yaml")
    visitor.page.get_by_label("Filter the settings").fill("LOCKED_KEY")
    expect(visitor.page.locator("#settings tbody tr:visible")).to_have_count(1)


def shorten_trials(config: Path) -> None:
    """Two questions instead of the shipped ones: what is told is the same."""
    probes = yaml.safe_load((ROOT / "config" / "probes" / "technical.yaml").read_text())
    probes["probes"] = probes["probes"][:2]
    (config / "probes").mkdir()
    (config / "probes" / "technical.yaml").write_text(yaml.safe_dump(probes))


def test_a_model_is_found_tried_asked_about_appended_and_taken_back(tmp_path_factory, visitor_at):
    folder = tmp_path_factory.mktemp("search")
    with Site(folder / "config", folder / "data", demo=True) as site:
        shorten_trials(site.config)
        written = site.config / "providers.yaml"
        before = written.read_text()
        visitor = visitor_at(site)
        visitor.open()
        visitor.tab("Find models")
        visitor.page.locator("#search").click()
        best = visitor.page.locator(".rt-candidate").filter(has_text="most promising")
        expect(best.locator(".rt-term")).to_have_count(8)
        visitor.choose("models-category", "creative")
        expect(visitor.page.locator(".rt-candidate")).to_have_count(0)
        visitor.choose("models-category", "technical")
        visitor.page.locator("#search").click()
        best.get_by_role("button", name="Try").click()
        trial = visitor.page.locator("#trial")
        expect(trial).to_contain_text("waits for your answer", timeout=60_000)
        assert written.read_text() == before
        question = visitor.page.locator(".rt-question")
        question.get_by_label("share of the traffic").fill("12.5")
        question.get_by_role("button", name="Append").click()
        expect(trial).to_contain_text("Appended as", timeout=60_000)
        expect(question).to_have_count(0)
        assert "share: 0.125" in written.read_text()
        expect(best.get_by_role("button")).to_have_text("Appended")
        expect(best.get_by_role("button")).to_be_disabled()
        was, after = (yaml.safe_load(text)["priorities"] for text in (before, written.read_text()))
        assert after["creative"] == was["creative"]
        assert len(after["technical"]) == len(was["technical"]) + 1
        visitor.page.locator("#undo").click()
        expect(trial).not_to_contain_text("Appended as")
        expect(trial.locator('[data-state="done"]')).to_be_visible()
        assert written.read_text() == before
        visitor.leave()


def test_a_search_of_the_command_line_is_refused_on_the_page(tmp_path_factory, visitor_at):
    folder = tmp_path_factory.mktemp("asked")
    with Site(folder / "config", folder / "data", demo=True) as site:
        shorten_trials(site.config)
        places = ["--config", str(site.config), "--data", str(folder / "data")]
        command = [sys.executable, "app.py", "--search", "technical", "--review", *places]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        before = (site.config / "providers.yaml").read_text()
        visitor = visitor_at(site)
        visitor.open()
        visitor.tab("Find models")
        question = visitor.page.locator(".rt-question")
        thread = question.get_attribute("data-thread")
        assert f"--approve {thread}" in done.stderr
        question.get_by_role("button", name="Refuse").click()
        expect(question).to_have_count(0)
        assert (site.config / "providers.yaml").read_text() == before
        visitor.leave()


def test_a_search_that_finds_nothing_to_serve_says_so(visitor: Visitor):
    visitor.tab("Find models")
    expect(visitor.page.locator("#candidates")).to_contain_text("Search to see candidates")
    expect(visitor.page.locator("#undo")).to_be_visible()
    visitor.page.locator("#undo").click()
    expect(visitor.page.locator("#trial .rt-state")).to_be_visible()


def test_a_page_without_write_actions_has_none(tmp_path_factory, visitor_at):
    folder = tmp_path_factory.mktemp("space")
    with Site(folder / "config", folder / "data", write=False) as site:
        visitor = visitor_at(site)
        visitor.open()
        visitor.tab("Knowledge")
        visitor.page.wait_for_selector("#documents h2")
        expect(
            visitor.page.locator("#renew, #upload, input[type=file]:not(#attached *)")
        ).to_have_count(0)
        visitor.tab("Find models")
        visitor.page.wait_for_selector("#candidates .rt-nothing")
        expect(visitor.page.locator("#undo")).to_have_count(0)
        visitor.leave()


def test_a_login_is_asked_for_where_one_is_set(tmp_path_factory, visitor_at):
    folder = tmp_path_factory.mktemp("login")
    auth = {"ROUTER_UI_AUTH": "ada:pass:word"}
    with Site(folder / "config", folder / "data", environ=auth) as site:
        visitor = visitor_at(site)
        visitor.page.goto(site.url)
        visitor.page.get_by_label("username").fill("ada")
        visitor.page.get_by_label("password").fill("pass:word")
        visitor.page.get_by_role("button", name="Login").click()
        visitor.page.wait_for_selector("#picture .rt-view[data-phase=idle]")
        visitor.problems.clear()  # the browser names the 401 that led to the login
        visitor.leave()

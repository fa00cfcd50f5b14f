"""JSON, and the calls and results of tools, in the chat and in the Log."""

import json

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import Visitor
from tests.upstream import Behaviour
from ui.structured import DEEPEST, LONG, block, fenced, indented, parts

EVIL = '<img src=x onerror="document.title=1">'


def test_json_gets_its_lines_and_keeps_its_signs():
    found = indented('{"a":1.0,"a":1E5,"b":[],"c":{"d":[1,"x, {y}: \\"z\\""]}}')
    assert found == (
        '{\n  "a": 1.0,\n  "a": 1E5,\n  "b": [],\n  "c": {\n    "d": [\n      1,\n'
        '      "x, {y}: \\"z\\""\n    ]\n  }\n}'
    )


@pytest.mark.parametrize(
    "text",
    ["", "text", "12", '"text"', "{", "[1,]", "[" * 100_000, "{'a': 1}", "[" * 41 + "]" * 41],
)
def test_what_is_no_json_object_stands_as_it_is(text: str):
    assert indented(text) is None
    assert DEEPEST < 41


def test_a_long_one_is_folded_and_a_block_ends_where_it_should():
    whole = json.dumps({"ticks": "``` and ````", "many": list(range(LONG))})
    assert block(whole).startswith(
        f"<details><summary>JSON, {LONG + 5} lines</summary>\n\n`````json"
    )
    assert fenced("a ``` b") == "````\na ``` b\n````"


def test_blocks_of_json_within_an_answer_are_found():
    text = 'Here:\n```json\n{"a":1}\n```\nand\n```json\nnot\n```\nend'
    assert list(parts(text)) == [
        (False, "Here:\n"),
        (True, '```json\n{\n  "a": 1\n}\n```'),
        (False, "\nand\n```json\nnot\n```\nend"),
    ]


@pytest.mark.browser
def test_an_answer_in_json_is_formatted_folded_and_copied_as_it_was(visitor: Visitor):
    page, answer = visitor.page, visitor.answer()
    given = json.dumps({"evil": EVIL, "numbers": list(range(40))})
    visitor.site.upstream.behave("remote", Behaviour(text=given))
    visitor.answered("Give me JSON.", "remote")
    fold = answer.locator("details")
    expect(fold.locator("summary")).to_contain_text("JSON, 45 lines")
    fold.locator("summary").click()
    expect(fold.locator("code")).to_contain_text('"numbers": [\n    0,\n    1,')
    expect(fold.locator("img")).to_have_count(0)
    page.locator("#talk .bot-row").last.get_by_label("Copy message").first.click()
    assert page.evaluate("() => navigator.clipboard.readText()") == given


def called(visitor: Visitor, name: str, arguments: str) -> str:
    """A request that a program made, and whose answer is the call of a tool; its id."""
    site = visitor.site
    site.upstream.behave("remote", Behaviour(text="", calls=((name, arguments),)))
    tool = {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    asked = [{"role": "user", "content": "What will the weather be?"}]
    answer = site.run(site.router.answer(messages=asked, tools=[tool], provider="remote"))
    return str(answer.request_id)


@pytest.mark.browser
def test_calls_of_tools_are_folded_in_the_chat(visitor: Visitor):
    page = visitor.page
    request = called(visitor, "get_weather", json.dumps({"city": EVIL, "days": 3}))
    about = {"category": None, "provider": None, "phase": "done", "answered_by": "remote"}
    turn = {**about, "request_id": request, "number": 0, "prompt": "Weather?", "text": ""}
    chat = {"id": "tools", "title": "Weather?", "at": 1, "turns": [turn]}
    page.evaluate("(c) => localStorage.setItem('router-chat:tools', JSON.stringify(c))", chat)
    page.goto(f"{visitor.site.url}/#/chat/tools")
    page.reload()
    expect(visitor.answer()).to_contain_text("It calls a tool.")
    fold = page.locator("#talk .thought-group", has_text="Calls get_weather")
    fold.get_by_text("Calls get_weather").click()
    expect(fold.locator("code")).to_contain_text('"days": 3')
    expect(page.locator("#talk .bot-row img[src=x]")).to_have_count(0)
    assert page.title() != "1"


@pytest.mark.browser
def test_the_log_shows_what_was_asked_what_tools_did_and_what_was_answered(visitor: Visitor):
    page, site = visitor.page, visitor.site
    site.upstream.behave("remote", Behaviour(text='{"sky":"clear"}'))
    call = {"name": "look<b>", "arguments": json.dumps({"where": EVIL})}
    result = json.dumps({"found": [EVIL, "x" * 500]})
    said = [
        {"role": "user", "content": "Is it clear?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": result},
    ]
    answer = site.run(site.router.answer(messages=said, provider="remote"))
    page.goto(f"{site.url}/#/log/{answer.request_id}")
    page.wait_for_selector(f'#replay [data-request="{answer.request_id}"][data-phase="done"]')
    parts = page.locator("#replay .rt-story")
    expect(parts.locator("summary")).to_contain_text(
        ["Prompt", "Calls look<b>", "look<b> returned", "Answer"]
    )
    parts.nth(2).locator("summary").click()
    expect(parts.nth(2).locator("pre")).to_contain_text(f'"found": [\n    {json.dumps(EVIL)},')
    expect(parts.locator("img")).to_have_count(0)
    expect(parts.nth(3).locator("pre")).to_have_text('{\n  "sky": "clear"\n}')
    page.get_by_label("Copy: look<b> returned").click()
    assert page.evaluate("() => navigator.clipboard.readText()") == result

"""What a model wrote, as Markdown that the chat can show."""

import pytest
from playwright.sync_api import expect

from tests.ui.conftest import CALM, Visitor
from tests.upstream import Behaviour
from ui.markdown import shown


def test_tags_of_a_model_are_shown_and_not_obeyed():
    assert shown("a <b>c</b> `<i>` d") == "a &lt;b>c&lt;/b> `<i>` d"


def test_code_is_left_as_it_stands():
    text = "See:\n```html\n<p>x</p>\n```\nand <p>"
    assert shown(text) == "See:\n```html\n<p>x</p>\n```\nand &lt;p>"


def test_an_unfinished_code_block_is_code():
    assert shown("```c\n#include <a.h>") == "```c\n#include <a.h>"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("so $x^2$ is", "so \\(x^2\\) is"),
        ("($E = mc^2$)", "(\\(E = mc^2\\))"),
        ("let $n$ be", "let \\(n\\) be"),
        ("$5 and $6", "$5 and $6"),
        ("from $5-$6 to 7$", "from $5-$6 to 7$"),
        ("US$20_000 or US$30_000", "US$20_000 or US$30_000"),
        ("$$x^2$$", "$$x^2$$"),
        ("`$x^2$`", "`$x^2$`"),
        ("\\$x^2$", "\\$x^2$"),
    ],
)
def test_a_formula_in_a_line_is_one_and_a_price_is_none(text: str, said: str):
    assert shown(text) == said


def test_a_diagram_is_drawn_once_it_is_whole():
    diagram = "```mermaid\ngraph TD; A-->B\n```"
    assert shown(diagram) == diagram
    assert shown(diagram, whole=False) == "```text\ngraph TD; A-->B\n```"
    assert shown("```mermaid\ngraph TD; A--", whole=False) == "```text\ngraph TD; A--"


WRITTEN = """שלום עולם, זה מימין לשמאל.

- مرحبا بالعالم

```mermaid
graph TD; A--
```

| a | b |
|---|---|
| WIDE | 1 |

$$WIDE$$

and $x^2$.""".replace("WIDE", "x+" * 300 + "y")


@pytest.mark.browser
def test_what_runs_to_the_left_what_cannot_be_drawn_and_what_is_wide(visitor: Visitor):
    visitor.site.upstream.behave("remote", Behaviour(text=WRITTEN))
    visitor.answered(CALM, "remote")
    visitor.site.upstream.behave("remote", Behaviour(text="A remote answer."))
    answer = visitor.answer()
    expect(answer.locator("pre")).to_have_text("graph TD; A--")
    expect(answer.locator("svg")).to_have_count(0)
    expect(answer.locator(".katex")).to_have_count(2)
    log = visitor.page.locator("#talk [role=log]")
    assert log.evaluate("log => log.scrollWidth <= log.clientWidth + 1")
    begins = """one => {
        const range = document.createRange();
        range.selectNodeContents(one);
        return one.getBoundingClientRect().right - range.getBoundingClientRect().right;
    }"""
    assert answer.locator("p").first.evaluate(begins) < 2
    assert answer.locator("li").evaluate(begins) < 2
    assert answer.locator("p").last.evaluate(begins) > 100
    visitor.leave()
    visitor.problems.clear()  # the library that draws names the mistake

"""No board breaks a rule of axe-core, in either theme, from a phone to a wide screen."""

from importlib.resources import files

import pytest

from tests.ui.conftest import Site, Visitor
from tests.ui.test_page import BOARDS, show

pytestmark = pytest.mark.browser

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
RUN = """async (options) => (await axe.run(document, {...options, resultTypes: ["violations"]}))
    .violations
    .map(v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 140), v.nodes[0].failureSummary])"""
COLOURS = ("color-contrast", "link-in-text-block")
"""The rules that look at colours: they take six times as long as all others together. Nothing
else depends on the theme, and colours are those of a narrow window or of a wide one."""
FORMS = {"rules": {rule: {"enabled": False} for rule in COLOURS}}
LOOKS = {
    "runOnly": {"type": "rule", "values": list(COLOURS)},
    # Otherwise a pseudo-element makes a contrast unknown, at twice the time.
    "checks": {"color-contrast": {"options": {"ignorePseudo": True}}},
}
WIDTHS = (390, 768, 1440)


def violations(visitor: Visitor, options: object) -> dict[int, list[list[object]]]:
    """By the window's width, the rules that are broken."""
    found = {}
    for width in WIDTHS if options is FORMS else WIDTHS[::2]:
        visitor.page.set_viewport_size({"width": width, "height": 900})
        found[width] = visitor.page.evaluate(RUN, options)
    return {width: broken for width, broken in found.items() if broken}


@pytest.mark.parametrize(
    ("scheme", "kinds"), [("light", (FORMS, LOOKS)), ("dark", (LOOKS,))], ids=["light", "dark"]
)
def test_no_board_breaks_a_rule(site: Site, visitor_at, scheme: str, kinds: tuple[object, ...]):
    visitor = visitor_at(site, color_scheme=scheme, reduced_motion="reduce")
    visitor.open()
    visitor.page.evaluate(AXE)
    visitor.answered("Write a haiku about rain.", "tardy")
    found = {"Chat": [violations(visitor, kind) for kind in kinds]}
    for board in BOARDS:
        show(visitor, board)
        found[board] = [violations(visitor, kind) for kind in kinds]
    assert {board: broken for board, broken in found.items() if any(broken)} == {}

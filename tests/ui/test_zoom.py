"""At 200% zoom nothing runs out of the window, and the heading and the box stay in it."""

import pytest

from tests.ui.boards import BOARDS
from tests.ui.conftest import Site
from tests.ui.test_page import show

pytestmark = pytest.mark.browser

ZOOMED = {"width": 720, "height": 450}
"""A window of 1440 by 900 pixels in which everything is twice as large."""
BEYOND = "() => document.documentElement.scrollWidth - window.innerWidth"
IN_VIEW = """(one) => { const box = one.getBoundingClientRect();
    return box.top >= 0 && box.bottom <= innerHeight
        && box.left >= 0 && box.right <= innerWidth }"""


def test_at_twice_the_size_every_board_fits_and_the_box_is_in_view(site: Site, visitor_at):
    visitor = visitor_at(site, viewport=ZOOMED, device_scale_factor=2)
    page = visitor.open()
    in_view = {
        name: page.locator(name).evaluate(IN_VIEW) for name in (".rt-top h1", "#prompt textarea")
    }
    visitor.answered("Write a haiku about rain.", "swift")
    in_view["box after an answer"] = page.locator("#prompt textarea").evaluate(IN_VIEW)
    beyond = {"Chat": page.evaluate(BEYOND)}
    for board in BOARDS:
        show(visitor, board)
        beyond[board] = page.evaluate(BEYOND)
    assert {name: seen for name, seen in in_view.items() if not seen} == {}
    assert {board: px for board, px in beyond.items() if px > 0} == {}

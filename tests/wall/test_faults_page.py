from __future__ import annotations

from docs.faults import PAGE, page


def test_the_page_of_faults_says_what_the_wall_tests() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m docs.faults"

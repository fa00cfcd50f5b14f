"""`python -m docs.outages` makes `docs/outages.md` from the cells that the tests check."""

from __future__ import annotations

from pathlib import Path

from tests.outages.cells import table

PAGE = Path(__file__).parent / "outages.md"

if __name__ == "__main__":
    PAGE.write_text(table())

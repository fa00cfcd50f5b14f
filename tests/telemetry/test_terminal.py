"""What the command line writes, whoever says it."""

from __future__ import annotations

import io
import sys
import traceback

import pytest
from rich.table import Table

from telemetry.terminal import Terminal, clean_streams

HOSTILE = "a\x1b]52;c;aGk=\x07b\x9b31mc\x1b[2Jd\re"
CLEAN = "a]52;c;aGk=b31mc[2Jde"


def test_printed_text_carries_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    with clean_streams():
        print(HOSTILE)
        print(HOSTILE, file=sys.stderr)
    said = capsys.readouterr()
    assert (said.out, said.err) == (f"{CLEAN}\n", f"{CLEAN}\n")


def test_a_traceback_of_anybody_shows_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    with clean_streams():
        try:
            raise RuntimeError(f"refused: Bearer abcdef0123456789 {HOSTILE}")
        except RuntimeError:
            traceback.print_exc()
    said = capsys.readouterr().err
    assert "RuntimeError: refused: Bearer [key]" in said
    assert "abcdef0123456789" not in said
    assert "\x1b" not in said


def test_a_table_has_colours_of_ours_alone() -> None:
    out = io.StringIO()
    console = Terminal(file=out, force_terminal=True, color_system="standard", width=80)
    table = Table("name")
    table.add_row(HOSTILE, style="red")
    console.print(table)
    assert "\x1b[31m" in out.getvalue()
    assert "\x1b]52" not in out.getvalue()
    assert "\x9b" not in out.getvalue()

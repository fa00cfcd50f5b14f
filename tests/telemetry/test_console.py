from __future__ import annotations

import io
import json
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from rich.table import Table

from telemetry.console import Terminal, clean_streams

ROOT = Path(__file__).parents[2]

SAYS = """
import structlog
from telemetry.console import configure
configure(json={json}, level="INFO")
logger = structlog.get_logger()
logger.debug("too quiet")
logger.info("called", provider="model-a", header="Bearer abcdef123456", key="gsk_abcdefghij")
print("an answer")
"""


def run(*, as_json: bool) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the set-up is the process's."""
    return subprocess.run(
        [sys.executable, "-c", SAYS.replace("{json}", str(as_json))],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )


def test_events_are_one_json_line_each_on_stderr() -> None:
    done = run(as_json=True)
    assert done.stdout == "an answer\n"
    (line,) = done.stderr.splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["provider"]) == ("called", "info", "model-a")
    assert event["timestamp"].endswith("Z")


def test_events_are_readable_without_json() -> None:
    (line,) = run(as_json=False).stderr.splitlines()
    assert "called" in line
    assert "model-a" in line


def test_keys_never_reach_the_log() -> None:
    for as_json in (True, False):
        said = run(as_json=as_json).stderr
        assert "abcdef123456" not in said
        assert "gsk_abcdefghij" not in said
        assert "***" in said


HIDES = """
import logging, structlog
from telemetry.console import configure
configure(json={json}, level="INFO")
logger = structlog.get_logger()
refused = RuntimeError("refused: Bearer sk-abcdef0123456789\\x1b]0;owned\\x07")
logger.error("failed", exc_info=refused)
logger.error("nested", detail={"key": "sk-abcdef0123456789", "in": [{"a": "\\x9b31m"}]})
logger.error("AIzaSyA1234567890abcdefghijklmnop nvapi-abcdefghijkl")
try:
    raise refused
except RuntimeError:
    logging.getLogger("lib").exception("failed with %s", "gsk_0123456789abcdef")
    logging.getLogger("lib").error("stack", stack_info=True, extra={"key": "hf_abcdefghijklm"})
"""


@pytest.mark.parametrize("as_json", [True, False])
def test_tracebacks_nested_fields_and_libraries_show_no_key_and_no_control(as_json: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIDES.replace("{json}", str(as_json))],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    said = done.stderr
    for key in ("abcdef0123456789", "SyA1234567890", "abcdefghijkl", "gsk_0123456789abcdef"):
        assert key not in said
    assert not [c for c in said if c != "\n" and not c.isprintable()]
    assert said.count("RuntimeError: refused") == 2
    if as_json:
        assert [json.loads(line)["level"] for line in said.splitlines()] == ["error"] * 5


FULL = """
import resource, sys, structlog
from telemetry.console import configure
configure()
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
structlog.get_logger().info("nowhere to go")
sys.exit(7)
"""


def test_a_full_disk_under_stderr_stops_nothing(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as file:
        done = subprocess.run([sys.executable, "-c", FULL], stderr=file, check=False, cwd=ROOT)
    assert done.returncode == 7


THREADS = """
import sys, threading, structlog
from telemetry.console import configure
configure(json=True)
def say():
    for n in range(500):
        structlog.get_logger().info("said", n=n)
threads = [threading.Thread(target=say) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_lines_of_several_threads_do_not_mix() -> None:
    done = subprocess.run(
        [sys.executable, "-c", THREADS], capture_output=True, text=True, check=True, cwd=ROOT
    )
    lines = done.stderr.splitlines()
    assert len(lines) == 2000
    assert all(json.loads(line)["event"] == "said" for line in lines)


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

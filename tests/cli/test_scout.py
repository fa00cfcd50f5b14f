"""`--review` stops at the question; `--approve` and `--refuse` answer it from another process."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from app import main
from config.editor import providers_in

DEMO = Path(__file__).parents[2] / "config" / "demo"


@pytest.mark.parametrize(("answer", "code", "added"), [("--approve", 0, 1), ("--refuse", 0, 0)])
def test_a_reviewed_search_is_answered_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: str, code: int, added: int
) -> None:
    shutil.copytree(DEMO, tmp_path / "config")
    folders = ["--config", str(tmp_path / "config"), "--data", str(tmp_path / "data")]
    assert main(["--search", "technical", "--review", *folders]) == 0
    said = re.search(r"--approve (\S+)", capsys.readouterr().err)
    assert said
    assert not _added(tmp_path)
    assert main([answer, said.group(1), *folders]) == code
    assert len(_added(tmp_path)) == added
    assert main([answer, said.group(1), *folders]) == 2, "it waits for nothing any more"


def test_a_search_that_there_is_not_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(DEMO, tmp_path / "config")
    folders = ["--config", str(tmp_path / "config"), "--data", str(tmp_path / "data")]
    assert main(["--approve", "none", *folders]) == 2
    assert "`none`" in capsys.readouterr().err


def _added(folder: Path) -> list[str]:
    return [str(e["name"]) for e in providers_in(folder / "config") if e.get("added")]

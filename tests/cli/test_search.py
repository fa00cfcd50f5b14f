"""`--search` as a user types it, on the simulated models of config/demo: no network is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app import main
from tests.cli.test_commands import Done

Run = Callable[..., Done]
PROBE = """\
category: technical
probes:
  - id: sum
    prompt: What is one and one?
    checks: [{numeric: 2}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of config/demo with one probe, so that a trial is short."""
    folder = Path(shutil.copytree("config/demo", tmp_path / "config"))
    (folder / "probes").mkdir(exist_ok=True)
    (folder / "probes" / "technical.yaml").write_text(PROBE)
    return folder


@pytest.fixture
def run(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> Done:
        code = main([*arguments, "--config", str(folder), "--data", str(tmp_path / "data")])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return call


def test_json_is_one_object_with_each_term_and_what_it_rests_on(run: Run) -> None:
    done = run("--search", "technical", "--json")
    result = json.loads(done.out)
    assert done.code == 0
    assert result["best"] == result["candidates"][0]["key"]
    terms = result["candidates"][0]["score"]["terms"]
    assert {"quality", "price", "licence"} <= {term["name"] for term in terms}
    assert all(term["said"] for term in terms)


def test_refresh_without_live_sources_changes_nothing_and_says_so(run: Run, folder: Path) -> None:
    before = (folder / "providers.yaml").read_bytes()
    done = run("--search", "technical", "--refresh")
    assert done.code == 0
    assert "Nothing to write" in done.err
    assert (folder / "providers.yaml").read_bytes() == before


def test_a_licence_that_excludes_somebody_is_passed_over_unless_agreed_to(
    run: Run, folder: Path
) -> None:
    catalogue = folder / "catalogue.yaml"
    best = json.loads(run("--search", "technical", "--json").out)["candidates"][0]
    text = catalogue.read_text()
    at = text.index(f"name: {best['name']}")
    start = text.index("licence: ", at)
    end = text.index("\n", start)
    catalogue.write_text(text[:start] + "licence: llama4" + text[end:])
    passed = run("--search", "technical", "--apply")
    assert f"{best['name']} is skipped" in passed.err
    assert "European Union" in passed.err
    assert f"trying {best['name']}" not in passed.err
    agreed = run("--search", "technical", "--apply", "--agree")
    assert f"trying {best['name']}" in agreed.err

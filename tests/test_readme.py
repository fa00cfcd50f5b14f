"""What the README says is true: its Python runs, its commands exist, its tree is whole."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from app import parser
from tests.api.conftest import serving
from tests.conftest import SettingsFor
from tests.upstream import Upstream

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    lines = "\n".join(blocks("sh")).splitlines()
    inline = re.findall(r"`(python app\.py[^`]*)`", README)
    return [line.split("  #")[0].strip() for line in [*lines, *inline] if "python app.py" in line]


@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_readme_is_one_that_the_program_takes(command: str) -> None:
    arguments = [a for a in shlex.split(command)[2:] if a != "…"]
    parser().parse_args(arguments)


async def test_the_python_example_runs(
    upstream: Upstream,
    settings_for: SettingsFor,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings_for(upstream)
    (source,) = [b for b in blocks("python") if "Router.from_config" in b]
    config, data = repr(str(tmp_path / "config")), repr(str(tmp_path / "data"))
    source = source.replace('"config", data="data"', f"{config}, data={data}, environ={{}}")
    body = "".join(f"    {line}\n" for line in source.splitlines())
    scope: dict = {}
    exec(f"async def example():\n{body}", scope)
    await scope["example"]()
    told = capsys.readouterr().out
    assert "first primary" in told
    assert "answered" in told


async def test_the_openai_example_runs(
    upstream: Upstream, settings_for: SettingsFor, capsys: pytest.CaptureFixture[str]
) -> None:
    (source,) = [b for b in blocks("python") if "from openai" in b]
    async with serving(settings_for(upstream)) as service:
        source = source.replace("http://127.0.0.1:7860", service.url)
        await asyncio.to_thread(exec, source, {})
    assert "first word0" in capsys.readouterr().out


def test_the_tree_has_a_line_for_every_module() -> None:
    tree = README.split("## The tree")[1]
    kept = [p for p in ROOT.glob("*/**/*.py") if p.parts[len(ROOT.parts)] in TREE]
    missing = [p.name for p in kept if p.name != "__init__.py" and f" {p.name} " not in tree]
    assert missing == []


TREE = {
    "graph",
    "nodes",
    "routing",
    "providers",
    "vectorstore",
    "config",
    "telemetry",
    "ui",
    "api",
    "cli",
    "benchmarks",
}

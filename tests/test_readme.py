"""What the README and the documents say is true: Python runs, commands and files exist."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from app import parser
from docs import clients
from docs.architecture import PACKAGES, PAGE, modules, page
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


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len(README.splitlines()) < 200


def test_the_architecture_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m docs.architecture"


def test_the_table_of_clients_is_what_their_tests_say() -> None:
    written = clients.PAGE.read_text(encoding="utf-8")
    assert written == clients.page(), "run: python -m docs.clients"


def test_every_module_says_what_it_is() -> None:
    silent = [path for name in PACKAGES for path, line in modules(name) if not line]
    assert silent == []


@pytest.mark.parametrize("document", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/*.md")))
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    paths = set(re.findall(r"`([a-z_]+/[\w/]+\.(?:py|yaml|md|ipynb))`", text))
    linked = {link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link}
    missing = [path for path in paths if not (ROOT / path).exists()]
    missing += [link for link in linked if not (document.parent / link).exists()]
    assert missing == []

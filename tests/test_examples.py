"""The examples run as they stand, against a loopback provider."""

from __future__ import annotations

import importlib

import pytest

from tests.conftest import SettingsFor
from tests.upstream import Behaviour, Upstream


@pytest.mark.parametrize("name", ["as_a_node", "as_a_tool"])
async def test_an_example_prints_the_answer(
    name: str, settings_for: SettingsFor, upstream: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.behave("first", Behaviour(text="It scatters blue light."))
    settings = settings_for(upstream)
    example = importlib.import_module(f"examples.{name}")
    await example.main(str(settings.config_dir), str(settings.data_dir))
    assert "It scatters blue light." in capsys.readouterr().out

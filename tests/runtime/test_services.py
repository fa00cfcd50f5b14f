"""A running router takes in an edit of its configuration, and refuses a broken one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import yaml
from starlette.requests import Request

from api.access import Keys
from graph.router import Router
from tests.conftest import SettingsFor
from tests.upstream import Behaviour, Upstream


async def until(condition) -> None:
    """The router looks at its files once a second: an event that only it knows of."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a file was edited; nothing announces it
            await asyncio.sleep(0.02)


async def test_an_edited_order_is_taken_in_without_a_restart(
    upstream: Upstream, settings_for: SettingsFor, tmp_path: Path
) -> None:
    settings_for(upstream)
    upstream.behave("first", Behaviour(text="First."))
    upstream.behave("second", Behaviour(text="Second."))
    async with Router.from_config(tmp_path / "config", tmp_path / "data", environ={}) as router:
        assert (await router.answer("Is everything well?")).provider == "first"
        path = tmp_path / "config" / "providers.yaml"
        written = yaml.safe_load(path.read_text())
        written["priorities"] = {name: ["second"] for name in written["priorities"]}
        path.write_text(yaml.safe_dump(written))
        await until(lambda: router.settings.priorities["general"] == ("second",))
        assert (await router.answer("Is everything well?")).provider == "second"


async def test_a_broken_edit_keeps_the_old_configuration_and_says_so(
    upstream: Upstream, settings_for: SettingsFor, tmp_path: Path
) -> None:
    settings_for(upstream)
    async with Router.from_config(tmp_path / "config", tmp_path / "data", environ={}) as router:
        path = tmp_path / "config" / "providers.yaml"
        good = path.read_text()
        path.write_text(good + "\nnonsense: true\n")
        await until(lambda: router.health()["status"] == "degraded")
        assert "nonsense" in str(router.health()["problems"])
        assert (await router.answer("Is everything well?")).provider == "first"
        path.write_text(good)
        await until(lambda: router.health()["status"] == "ok")


async def test_a_key_that_is_changed_in_env_counts_without_a_restart(
    upstream: Upstream, settings_for: SettingsFor, tmp_path: Path
) -> None:
    settings_for(upstream)
    path = tmp_path / "config" / "providers.yaml"
    written = yaml.safe_load(path.read_text())
    host = written["providers"][0]["host"]
    written["hosts"][host]["api_key_env"] = "SOME_KEY"
    path.write_text(yaml.safe_dump(written))
    keys = tmp_path / ".env"
    keys.write_text("SOME_KEY=sk-old-000000000000\nROUTER_API_KEYS=mine-old\n")
    async with Router.from_config(
        tmp_path / "config", tmp_path / "data", environ={}, dotenv=keys
    ) as router:
        asked = Request({"type": "http", "headers": [(b"authorization", b"Bearer mine-new")]})
        access = Keys(lambda: router.settings.environment.api_keys)
        assert not access.accept(asked)
        await router.answer("Is everything well?", category="general")
        assert upstream.calls("first")[-1].headers["authorization"] == "Bearer sk-old-000000000000"
        keys.write_text("SOME_KEY=sk-new-0000000000000\nROUTER_API_KEYS=mine-new\n")
        await until(lambda: access.accept(asked))
        await router.answer("Is everything well?", category="general")
        assert upstream.calls("first")[-1].headers["authorization"] == "Bearer sk-new-0000000000000"
        keys.write_text("SOME_KEY=sk-new-0000000000000\nROUTER_API_KEYS=\n")
        await until(lambda: not router.settings.environment.api_keys)
        asked = Request({"type": "http", "headers": [(b"authorization", b"Bearer stranger")]})
        assert not access.accept(asked), "an edit opens no service"

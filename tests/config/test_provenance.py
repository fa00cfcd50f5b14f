"""Every effective value can be traced to where it came from, and no key can be read there."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.loader import load
from config.provenance import Effective, mask_url, provenance
from tests.config.test_loader import CATEGORIES, PROVIDERS


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, Effective]:
    (tmp_path / "providers.yaml").write_text(PROVIDERS)
    (tmp_path / "categories.yaml").write_text(CATEGORIES)
    (tmp_path / ".env").write_text("API_KEY=sk-secret\nANY_URL=http://any/v1\n")
    environ = {
        "ROUTER_API_KEYS": "sk-secret,sk-other",
        "ROUTER_UI_AUTH": "me:sk-secret",
        "ROUTER_DATABASE_URL": "postgresql://me:sk-secret@db/router?password=sk-secret",
    }
    settings = load(tmp_path, tmp_path / "data", environ=environ, dotenv=tmp_path / ".env")
    return {row.key: row for row in provenance(settings)}


def test_each_source_is_named(rows: dict[str, Effective]) -> None:
    sources = {
        "limits.ttft_s": ("3.0", "providers.yaml"),
        "limits.late_s": ("120.0", "default"),
        "limits.technical.ttft_s": ("2.5", "providers.yaml"),
        "hosts.anywhere.base_url": ("http://any/v1", ".env"),
        "hosts.anywhere.key": ("not set", "default"),
        "api_keys": ("2 × ********", "environment"),
        "chroma": ("embedded, in the data folder", "default"),
        "providers.big.cost": ("input: 0.5, output: 0.8", "providers.yaml"),
        "priorities.technical": ("big, small", "providers.yaml"),
        "content_filter": ("propagate", "default"),
        "log.text": ("false", "default"),
    }
    assert {key: (rows[key].value, rows[key].source) for key in sources} == sources


def test_a_value_names_the_variable_that_gives_it(rows: dict[str, Effective]) -> None:
    assert rows["hosts.api.key"] == Effective("hosts.api.key", "********", ".env", "API_KEY")
    assert rows["providers.any.model"].variable == "ANY_MODEL"


def test_no_key_and_no_password_is_shown(rows: dict[str, Effective]) -> None:
    assert not [row for row in rows.values() if "sk-" in row.value]
    assert rows["database"].value == "postgresql://me:********@db/router?********"


def test_an_address_without_secrets_is_shown_as_it_is() -> None:
    assert mask_url("http://chroma:8000/path") == "http://chroma:8000/path"
    assert mask_url("sqlite:///data/router.db") == "sqlite:///data/router.db"

"""The catalogue is typed, dated and consistent with itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.catalogue import load_catalogue
from config.errors import ConfigError
from config.loader import load

GOOD = """\
date: 2026-01-02
sources: {card: the model card}
entries:
  - name: A
    family: f
    released: 2025-04
    parameters_b: 8
    context: 8192
    licence: mit
    commercial: true
    specialities: [technical]
    ids: {groq: a}
    prices: {groq: {input: 1, output: 2}}
    sources: [card]
"""


def test_a_catalogue_is_read(tmp_path: Path) -> None:
    (tmp_path / "catalogue.yaml").write_text(GOOD)
    catalogue = load_catalogue(tmp_path)
    assert catalogue.date.isoformat() == "2026-01-02"
    assert catalogue.entries[0].prices["groq"].output == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("licence: mit", "license: mit", ":9: unknown key `entries.A.license`: did you mean"),
        ("parameters_b: 8", "parameters_b: 0", ":7: `entries.A.parameters_b` must be more than 0"),
        ("released: 2025-04", "released: soon", ":6: `entries.A.released` must be a date"),
        ("date: 2026-01-02", "date: today", ":1: `date` must be a date"),
        ("ids: {groq: a}", "ids: {}", ":4: `A` has a price at `groq` but no id there"),
        ("sources: [card]", "sources: [rumour]", ":4: `A` names the unknown source `rumour`"),
        ("    name: A", "    name: A\n    name: B", "appears here and on line"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = GOOD.replace("  - name: A", "  -\n    name: A") if old.startswith("    name") else GOOD
    (tmp_path / "catalogue.yaml").write_text(text.replace(old, new))
    with pytest.raises(ConfigError) as raised:
        load_catalogue(tmp_path)
    assert told in str(raised.value)


def test_an_entry_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalogue.yaml").write_text(GOOD + GOOD.partition("entries:\n")[2])
    with pytest.raises(ConfigError, match="`A` appears twice"):
        load_catalogue(tmp_path)


@pytest.mark.parametrize("folder", ["config", "config/demo"])
def test_the_shipped_catalogues_speak_of_known_hosts_and_categories(folder: str) -> None:
    catalogue = load_catalogue(folder)
    settings = load(folder, environ={}, dotenv=None)
    for entry in catalogue.entries:
        assert entry.ids.keys() <= settings.hosts.keys(), entry.name
        assert set(entry.specialities) <= settings.categories.keys(), entry.name


def test_the_catalogue_is_worth_searching() -> None:
    catalogue = load_catalogue("config")
    assert len(catalogue.entries) >= 25
    for category in ("technical", "creative", "general"):
        assert sum(category in entry.specialities for entry in catalogue.entries) >= 8


def test_the_demonstration_shows_what_cannot_be_served_and_what_may_not_be_sold() -> None:
    entries = load_catalogue("config/demo").entries
    assert any(not entry.ids for entry in entries)
    assert any(not entry.commercial for entry in entries)
    assert all(entry.name.startswith("sim-") for entry in entries)

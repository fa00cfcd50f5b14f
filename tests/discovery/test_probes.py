"""The shipped probes: a right answer passes each, an evasive one none, and nothing is executed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from config.errors import ConfigError
from config.probe_sets import Check, Probe, load_probes
from discovery.checks import grade, holds

CONFIG = Path(__file__).parents[2] / "config"
ANSWERS = Path(__file__).with_name("right_answers.yaml")
RIGHT: dict[str, dict[str, str]] = yaml.safe_load(ANSWERS.read_text())


def probes(category: str) -> tuple[Probe, ...]:
    found = load_probes(CONFIG, category)
    assert found is not None
    return found.probes


EACH = [(category, probe) for category in RIGHT for probe in probes(category)]


@pytest.mark.parametrize("category", RIGHT)
def test_a_category_has_at_least_thirty_probes(category: str) -> None:
    assert len(probes(category)) >= 30


@pytest.mark.parametrize(("category", "probe"), EACH, ids=[p.id for _, p in EACH])
def test_a_right_answer_passes_and_an_evasive_or_empty_one_does_not(
    category: str, probe: Probe
) -> None:
    assert grade(probe, RIGHT[category][probe.id]) == 1.0
    assert grade(probe, "I am sorry, but as a language model that is not something for me.") < 1.0
    assert grade(probe, "") < 1.0
    assert grade(probe, probe.prompt) < 1.0


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ({"exact": "yes"}, " Yes. ", "yes and no"),
        ({"numeric": 1200}, "It is 1,200.", "1201"),
        ({"numeric": -3}, "x = -3", "3"),
        ({"regex": "^b"}, "a\nB", "ab"),
        ({"contains": ["One", "two"]}, "two, one", "two"),
        ({"any": ["one", "two"]}, "TWO", "three"),
        ({"lacks": ["I"]}, "you", "You and I"),
        ({"lacks": ["I"]}, "it is", ""),
        ({"words": {"min": 2, "max": 3}}, "a b c", "a"),
        ({"lines": 2}, "a\n\nb\n", "a"),
        ({"characters": {"max": 3}}, "abc", "abcd"),
        ({"json": {"keys": ["a"]}}, '```json\n{"a": 1}\n```', "[1]"),
        ({"json": {"values": {"a": False}}}, '{"a": false}', '{"a": true}'),
        ({"json": {"items": 2}}, "[1, 2]", "[1]"),
        ({"csv": {"rows": 2, "columns": 2}}, "a,b\n1,2", "a,b\n1"),
    ],
)
def test_each_kind_of_check(check: dict[str, object], right: str, wrong: str) -> None:
    parsed = Check.model_validate(check)
    assert holds(parsed, right)
    assert not holds(parsed, wrong)


def test_half_of_the_checks_is_half_of_the_score() -> None:
    probe = Probe(
        id="ab", prompt="Say a and b.", checks=(Check(contains=("a",)), Check(any=("b",)))
    )
    assert grade(probe, "a") == 0.5


def test_a_category_without_probes_has_none(tmp_path: Path) -> None:
    assert load_probes(tmp_path, "legal") is None


def test_the_users_own_probes_win_and_mistakes_in_them_have_a_line(tmp_path: Path) -> None:
    folder = tmp_path / "probes"
    folder.mkdir()
    file = folder / "technical.yaml"
    text = (
        "category: technical\nprobes:\n  - id: mine\n    prompt: What is 1 + 1?\n    checks: [{}]\n"
    )
    file.write_text(text.format("{numeric: 2}").replace("[{}]", "[{numeric: 2}]"))
    own = load_probes(tmp_path, "technical")
    assert own is not None
    assert [probe.id for probe in own.probes] == ["mine"]
    for broken in ("[{numeric: two}]", "[{regex: '('}]", "[{numeric: 2, any: [x]}]", "[{sums: 2}]"):
        file.write_text(text.replace("[{}]", broken))
        with pytest.raises(ConfigError, match=r"technical\.yaml:\d"):
            load_probes(tmp_path, "technical")

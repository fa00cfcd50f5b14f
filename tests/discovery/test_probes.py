"""The shipped probes: a right answer passes each, an evasive one none, and nothing is executed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from config.errors import ConfigError
from config.probe_sets import Check, Probe, load_probes
from discovery.checks import grade, holds

CONFIG = Path(__file__).parents[2] / "config"
CATEGORIES = ("technical", "creative", "general")
EVASIVE = "I am sorry, but as a language model that is not something for me."


def probes(category: str) -> tuple[Probe, ...]:
    found = load_probes(CONFIG, category)
    assert found is not None
    return found.probes


EACH = [probe for category in CATEGORIES for probe in probes(category)]


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_has_sixty_probes_a_third_easy_and_a_third_hard(category: str) -> None:
    levels = Counter(probe.level for probe in probes(category))
    assert levels.total() >= 60
    assert levels["easy"] >= levels.total() / 3
    assert levels["hard"] >= levels.total() / 3


@pytest.mark.parametrize("probe", EACH, ids=[p.id for p in EACH])
def test_right_answers_pass_in_their_usual_forms_and_near_misses_do_not(probe: Probe) -> None:
    assert len(probe.right) >= 3
    assert len(probe.wrong) >= 3
    assert {answer: grade(probe, answer) for answer in probe.right} == dict.fromkeys(
        probe.right, 1.0
    )
    for answer in (*probe.wrong, EVASIVE, "", probe.prompt):
        assert grade(probe, answer) < 1.0, answer


MORE = yaml.safe_load((Path(__file__).parent / "data" / "more_answers.yaml").read_text("utf-8"))


@pytest.mark.parametrize("name", MORE)
def test_answers_in_further_forms_are_read_as_people_do(name: str) -> None:
    probe = next(probe for probe in EACH if probe.id == name)
    assert [answer for answer in MORE[name]["right"] if grade(probe, answer) < 1.0] == []
    assert [answer for answer in MORE[name]["wrong"] if grade(probe, answer) == 1.0] == []


@pytest.mark.parametrize("probe", EACH, ids=[p.id for p in EACH])
def test_typography_makes_no_difference(probe: Probe) -> None:
    """Other spaces, dashes, quotes and a fence around the whole change no right answer's score."""
    answer = probe.right[0]
    if "characters" in str(probe.checks[0].model_fields_set):
        return
    table = str.maketrans({"-": "\u2011", "'": "\u2019", "\u00a0": " "})
    forms = [answer if "\\" in answer or '"' in answer else answer.translate(table), f"{answer}\n"]
    if "```" not in answer:
        forms.append(f"```\n{answer}\n```")
    for form in forms:
        assert grade(probe, form) == 1.0, form


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ({"answer": "Canberra"}, "It's Canberra (not Sydney).", "Sydney, not Canberra"),
        ({"answer": "Mars"}, "It's **Mars**, the red one.", "Marsh"),
        ({"answer": "Africa"}, "In Africa.", "South Africa"),
        ({"numeric": 40}, "60 / 1.5 = 40 km/h", "40? No, wait: 45"),
        ({"numeric": 8}, "eight", "eighteen"),
        ({"numeric": 3072}, "3\u202f072", "3 073"),
        ({"numeric": 3}, "3,00", "3,5"),
        ({"numeric": 10}, "10, since 2^10 = 1024", "2^9 = 512"),
        ({"numeric": 8100}, "8100 seconds = 2*3600 + 15*60", "7215 seconds = 2*3600 + 15"),
        (
            {"numeric": 40},
            "The average speed is 40 km/h over 60 km in 1.5 hours.",
            "It is 45 km/h.",
        ),
        ({"numeric": 25}, "It would be 25 percent more than 240.", "It would be 20 percent."),
        ({"numeric": 429}, "HTTP/1.1 429 Too Many Requests", "HTTP/1.1 503"),
        ({"numeric": 4}, "A violin has four strings; a guitar has six.", "It has 14 strings."),
        ({"answer": "Canberra"}, "The city of Canberra.", "The city of Sydney."),
        ({"numeric": 0.5}, r"\(\boxed{0.5}\)", "5"),
        ({"expression": "9x^2-5"}, "f'(x) = 9\u00b7x\u00b2 \u2212 5", "19x^2 - 5"),
        ({"expression": "O(log n)"}, r"$\mathcal{O}(\log n)$", "O(n log n)"),
        ({"list": ["a", "b|c"]}, "1. A\n2. C", "b, a"),
        ({"python": r"\[v1 for v1 in v2\]|\[v1 for v1 in a\]"}, "[z for z in a]", "[z for z in b]"),
        ({"match": "yes"}, "**Yes**", "yes and no"),
        ({"sentences": 2}, "\u201cWho?\u201d asked he. Nobody.", "One."),
        ({"items": {"count": 2}}, "a, b", "a, a"),
        ({"contains": ["rain*"]}, "Rainy days", "brain"),
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

"""Public figures on one scale: linked, weighed for a category, and never beaten by a guess."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from config.errors import ConfigError
from config.evidence import Benchmark, Evidence, Figure, load_evidence, weights_for
from config.loader import load
from config.models import Category
from discovery.quality import Quality, Subject, judge, link

CONFIG = Path(__file__).parents[2] / "config"
SHIPPED = load_evidence(CONFIG)
SIZES = (1e9, 3e9, 8e9, 30e9, 70e9, 400e9)
MODELS = [Subject(f"m{i}", size, date(2025, 1, 1), "llama3.1") for i, size in enumerate(SIZES)]


def evidence(**groups: str) -> Evidence:
    """Benchmarks by name and the group that measures each."""
    made = {
        name: Benchmark(
            title=name, group=group, skills=("chat",), date=date(2025, 6, 1), source="x"
        )
        for name, group in groups.items()
    }
    return Evidence(date=date(2026, 1, 1), skills={"chat": ()}, benchmarks=made, figures={})


KNOWN = evidence(elo="one", percent="two")
TABLE = {
    m.key: {"elo": Figure(value=1000 + 50 * i, error=5), "percent": Figure(value=10.0 + 8 * i)}
    for i, m in enumerate(MODELS)
}
WEIGHTS = {"elo": 0.5, "percent": 0.5}


def judged(
    table: dict[str, dict[str, Figure]], *more: Subject, weights: dict[str, float] = WEIGHTS
) -> dict[str, Quality]:
    return judge([*MODELS, *more], table, KNOWN, weights)


def test_figures_of_different_units_are_one_scale() -> None:
    links = link(TABLE, KNOWN.benchmarks)
    for row in TABLE.values():
        levels = [(row[n].value - links[n].centre) / links[n].spread for n in row]
        assert levels[0] == pytest.approx(levels[1])


def test_the_order_is_that_of_the_figures_and_values_lie_in_the_unit_interval() -> None:
    found = judged(TABLE)
    values = [found[m.key].value for m in MODELS]
    assert values == sorted(values)
    assert 0 <= values[0] < values[-1] <= 1
    assert [f.benchmark for f in found["m0"].figures] == ["elo", "percent"]
    assert found["m0"].said == "elo 1000±5, 2025-06-01; percent 10, 2025-06-01"


def test_a_wider_interval_is_a_greater_uncertainty() -> None:
    wide = {**TABLE, "m3": {"elo": Figure(value=1150, error=60)}}
    assert judged(wide)["m3"].error > judged(TABLE)["m3"].error


def test_a_benchmark_that_too_few_models_link_is_not_used() -> None:
    few = {m: (row if i < 3 else {"elo": row["elo"]}) for i, (m, row) in enumerate(TABLE.items())}
    assert "percent" not in link(few, KNOWN.benchmarks)


@pytest.mark.parametrize("size", [1e9, 8e9, 60e9, 100e9, 400e9, 2e12])
def test_an_estimate_is_marked_and_below_every_measured_model_of_its_size(size: float) -> None:
    new = Subject("new", size, date(2026, 1, 1), "llama3.1")
    found = judged(TABLE, new)
    guess = found["new"]
    assert not guess.measured
    assert guess.said.startswith("estimate from m")
    peers = [m for m in MODELS if m.parameters and 1 / 1.5 <= size / m.parameters <= 1.5]
    assert all(guess.value <= found[m.key].value for m in peers)
    assert guess.value <= max(found[m.key].value for m in MODELS)


def test_the_more_is_known_the_less_size_counts() -> None:
    odd = Subject("odd", 70e9, date(2025, 1, 1))
    high = {**TABLE, "odd": {"percent": Figure(value=90.0)}}
    little = judged(high, odd, weights={"elo": 0.95, "percent": 0.05})["odd"]
    much = judged(high, odd)["odd"]
    assert little.level < much.level


def test_without_size_or_figures_nothing_is_said() -> None:
    assert "unknown" not in judged(TABLE, Subject("unknown"))


def test_the_shipped_weights_are_of_known_benchmarks() -> None:
    settings = load(CONFIG, environ={}, dotenv=None)
    for category, declared in settings.categories.items():
        assert declared.benchmarks.keys() <= SHIPPED.benchmarks.keys(), category
        assert sum(weights_for(category, settings.categories, SHIPPED).values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("description", "speaks"),
    [
        ("Proofs and arithmetic for mathematics lessons", "livebench-math"),
        ("Poems and stories for children", "arena-writing"),
        ("Programs that call functions as an agent", "bfcl"),
    ],
)
def test_a_new_category_is_weighed_by_its_description(description: str, speaks: str) -> None:
    new = {"mine": Category(description=description, examples=("a", "b"))}
    weights = weights_for("mine", new, SHIPPED)
    assert weights[speaks] > 0
    assert len(weights) < len(SHIPPED.benchmarks)


def test_a_category_that_asks_for_nothing_known_is_weighed_by_all() -> None:
    new = {"x": Category(description="Zzz", examples=("a", "b"))}
    assert weights_for("x", new, SHIPPED).keys() == SHIPPED.benchmarks.keys()


def test_what_is_left_out_of_the_evidence_is_gone_with_its_whole_source() -> None:
    less = SHIPPED.without("lmarena")
    assert not any(b.group == "lmarena" for b in less.benchmarks.values())
    assert not any(name.startswith("arena") for row in less.figures.values() for name in row)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"figures": {"a/b": {"nothing": 1}}}, "unknown benchmark `nothing`"),
        ({"figures": {"a/b": {"elo": "high"}}}, "evidence.yaml:"),
        ({"benchmarks": {"elo": {"title": "x"}}}, "evidence.yaml:"),
    ],
)
def test_a_mistake_in_the_evidence_is_named_with_its_place(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    benchmark = {
        "title": "x",
        "group": "x",
        "skills": ["chat"],
        "date": "2025-01-01",
        "source": "x",
    }
    whole = {"date": "2026-01-01", "skills": {"chat": []}, "benchmarks": {"elo": benchmark}}
    text = yaml.safe_dump({**whole, "figures": {}} | change)
    (tmp_path / "evidence.yaml").write_text(text.replace("'2025-01-01'", "2025-01-01"))
    with pytest.raises(ConfigError, match=said):
        load_evidence(tmp_path)

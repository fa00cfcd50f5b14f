"""Several sources, one row a model: joined by name, told from strangers, flagged and placed."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from config.catalogue import load_catalogue
from config.hosts import Cost
from config.models import Settings
from discovery.candidates import Candidate, join
from discovery.sources.catalogued import CatalogueSource
from discovery.sources.source import Answer, Found, ask_all
from tests.conftest import SettingsFor

TODAY = date(2026, 11, 22)


def found(source: str, id: str, **fields: Any) -> Found:  # noqa: A002
    return Found.model_validate({"source": source, "id": id, **fields})


@pytest.fixture
def settings(settings_for: SettingsFor) -> Settings:
    hosts = {
        "groq": {"base_url": "http://127.0.0.1:9/v1"},
        "together": {"base_url": "http://127.0.0.1:9/v1", "api_key_env": "NOT_SET_KEY"},
    }
    providers = [
        {"name": "first", "host": "upstream", "model": "first"},
        {"name": "cheap", "host": "groq", "model": "llama-3.1-8b-instant"},
    ]
    order = {name: ["first", "cheap"] for name in ("technical", "creative", "general")}
    return settings_for(hosts=hosts, providers=providers, priorities=order)


def joined(settings: Settings, *all_found: Found) -> list[Candidate]:
    answers = [Answer(source=one.source, at=0.0, found=(one,)) for one in all_found]
    return join(answers, settings, "technical", TODAY)


HUB = found(
    "hub",
    "meta-llama/Llama-3.3-70B-Instruct",
    architecture="llama",
    chat=True,
    parameters=70.5e9,
    licence="llama3.3",
    released="2024-11-26",
    downloads=900_000,
    likes=2500,
)
HOST = found(
    "host groq", "llama-3.3-70b-versatile", host="groq", cost=Cost(input=0.59, output=0.79)
)
MARKET = found(
    "openrouter",
    "meta-llama/llama-3.3-70b-instruct",
    also="meta-llama/Llama-3.3-70B-Instruct",
    released="2024-12-06",
    context=131072,
    cost=Cost(input=0.1, output=0.3),
)


def test_what_several_sources_say_of_a_model_is_one_row(settings: Settings) -> None:
    [one] = joined(settings, HOST, MARKET, HUB)
    assert one.key == "llama-3.3-70b"
    assert one.sources == ("hub", "openrouter", "host groq")
    assert one.evidence.parameters == 70.5e9
    assert one.evidence.context == 131072
    assert one.evidence.released == date(2024, 11, 26)
    assert one.evidence.downloads == 900_000


def test_the_price_is_that_of_the_host_that_would_serve_it(settings: Settings) -> None:
    [served] = joined(settings, HUB, MARKET, HOST)
    [elsewhere] = joined(settings, HUB, MARKET)
    assert served.evidence.cost == Cost(input=0.59, output=0.79)
    assert elsewhere.evidence.cost == Cost(input=0.1, output=0.3)
    assert [(o.host, o.model) for o in served.offers] == [("groq", "llama-3.3-70b-versatile")]
    assert elsewhere.offers == ()


def test_a_price_of_the_catalogue_stands_in_where_the_host_names_none(settings: Settings) -> None:
    catalogue = found(
        "catalogue",
        "meta-llama/Llama-3.3-70B-Instruct",
        aliases=("llama-3.3-70b-versatile",),
        architecture="llama, by the catalogue",
        chat=True,
        places=("groq", "together", "upstream"),
        prices={"groq": {"input": 0.5, "output": 0.7}},
    )
    silent = HOST.model_copy(update={"cost": None})
    [one] = joined(settings, silent, catalogue)
    assert one.offers[0].cost == Cost(input=0.5, output=0.7)
    assert one.places == ("together",)  # disabled, so it could not be asked


def test_names_that_a_source_vouches_for_are_joined_however_different(settings: Settings) -> None:
    entry = found(
        "catalogue",
        "meta-llama/Llama-4-Scout-17B-16E-Instruct",
        title="Llama 4 Scout",
        aliases=("meta-llama/llama-4-scout", "llama4:scout"),
        architecture="llama, by the catalogue",
        chat=True,
    )
    short = found("host groq", "llama-4-scout", host="groq")
    [one] = joined(settings, short, entry)
    assert one.name == "Llama 4 Scout"
    assert one.offers[0].model == "llama-4-scout"


def test_other_families_are_left_out_whatever_they_are_called(settings: Settings) -> None:
    strangers = [
        found("host groq", "qwen3-32b", host="groq"),
        found("hub", "someone/llama-killer-7B-Instruct", architecture="qwen2", chat=True),
        found("host groq", "llama-guard-4-12b", host="groq"),
        found("host groq", "gpt-6-luna", host="groq"),
    ]
    assert joined(settings, *strangers) == []


CATALOGUE = load_catalogue(Path(__file__).parents[2] / "config")


@pytest.mark.parametrize(
    "row",
    [
        {"id": "nvidia/Llama-3_3-Nemotron-Super-49B-v1_5", "architecture": "nemotron-nas"},
        {"id": "nvidia/Llama-3_3-Nemotron-Super-49B-v1", "architecture": "nemotron-nas"},
        {"id": "nvidia/Llama-3_1-Nemotron-Ultra-253B-v1", "architecture": "DeciLMForCausalLM"},
        {
            "id": "bartowski/nvidia_Llama-3_3-Nemotron-Super-49B-v1_5-GGUF",
            "also": "nvidia/Llama-3_3-Nemotron-Super-49B-v1_5",
            "architecture": "deci",
        },
        {
            "id": "someone/Llama-3.3-70B-Instruct-exl2",
            "also": "meta-llama/Llama-3.3-70B-Instruct",
            "architecture": "exllama",
        },
        {"id": "someone/Llama-3.3-70B-Instruct", "architecture": "qwen2", "downloads": 1e9},
        {"id": "someone/Hermes-4-70B", "also": "NousResearch/Hermes-4-70B", "architecture": "x"},
    ],
    ids=lambda row: str(row["id"]),
)
async def test_no_row_of_the_hub_takes_a_model_of_the_catalogue_away(
    settings: Settings, row: dict[str, Any]
) -> None:
    known = await ask_all([CatalogueSource(CATALOGUE)], "technical")
    strange = Answer(source="hub", at=0.0, found=(found("hub", **row),))
    names = {one.name for one in join(known, settings, "technical", TODAY)}
    assert names == {one.name for one in join([*known, strange], settings, "technical", TODAY)}
    assert len(names) == len(CATALOGUE.entries)


def test_a_strangers_copy_does_not_end_what_its_maker_describes(settings: Settings) -> None:
    maker = found("hub", "nvidia/Llama-Aurora-9B-Instruct", architecture="nemotron-nas")
    fraud = found("hub", "x/Llama-Aurora-9B-Instruct", architecture="qwen2", downloads=1e9)
    [one] = joined(settings, fraud, maker)
    assert one.evidence.name == "nvidia/Llama-Aurora-9B-Instruct"
    assert one.evidence.downloads is None


def test_the_licence_of_the_base_binds_what_was_made_from_it(settings: Settings) -> None:
    [one] = joined(
        settings,
        found(
            "hub",
            "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
            bases=("meta-llama/Llama-3.3-70B-Instruct",),
            chat=True,
            licence="mit",
        ),
    )
    term = next(t for t in one.score.terms if t.name == "licence")
    assert (term.value, term.said) == (0.8, "mit + llama3.3")


@pytest.mark.parametrize(
    ("name", "licence", "excluded"),
    [
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct", "llama4", True),
        ("deepcogito/cogito-109b-moe-llama-4-chat", "llama4", True),
        ("meta-llama/Llama-3.2-90B-Vision-Instruct", "llama3.2", True),
        ("meta-llama/Llama-3.2-3B-Instruct", "llama3.2", False),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3.3", False),
    ],
)
def test_a_region_that_a_licence_excludes_is_known(
    settings: Settings, name: str, licence: str, excluded: bool
) -> None:
    [one] = joined(settings, found("hub", name, licence=licence, architecture="llama", chat=True))
    assert any(limit.kind == "region" for limit in one.limits) is excluded
    assert any("European Union" in flag for flag in one.flags) is excluded


def test_a_base_model_that_only_goes_on_with_the_text_is_left_out(settings: Settings) -> None:
    assert joined(settings, found("hub", "meta-llama/Llama-3.1-8B", architecture="llama")) == []


def test_what_is_configured_is_marked_and_not_offered_again(settings: Settings) -> None:
    same = found("host groq", "llama-3.1-8b-instant", host="groq")
    elsewhere = found("host upstream", "Llama-3.1-8B-Instruct", host="upstream")
    [one] = joined(settings, same, elsewhere)
    assert one.configured == ("cheap",)
    assert [offer.host for offer in one.offers] == ["upstream"]


def test_the_cheapest_host_comes_first_and_an_unknown_price_last(settings: Settings) -> None:
    unknown = found("host upstream", "meta-llama/Llama-3.3-70B-Instruct", host="upstream")
    dear = found("host there", "Llama-3.3-70B", host="there", cost=Cost(input=5, output=5))
    [one] = joined(settings, unknown, dear, HOST)
    assert [offer.host for offer in one.offers] == ["groq", "there", "upstream"]


def test_a_licence_that_forbids_commercial_use_is_flagged(settings: Settings) -> None:
    [one] = joined(settings, HUB.model_copy(update={"licence": "cc-by-nc-4.0"}))
    assert one.non_commercial
    assert one.flags == ("licence cc-by-nc-4.0 forbids commercial use",)


def test_a_gated_model_says_so(settings: Settings) -> None:
    [one] = joined(settings, HUB.model_copy(update={"gated": True}))
    assert "gated" in one.flags[0]


def test_the_better_score_comes_first_and_ties_are_by_name(settings: Settings) -> None:
    small = found("host groq", "llama-3.2-1b-instruct", host="groq")
    twins = [found("host groq", f"llama-{name}", host="groq") for name in ("b", "a")]
    names = [one.key for one in joined(settings, small, *twins, HOST, HUB)]
    assert names[0] == "llama-3.3-70b"
    assert names.index("llama-a") < names.index("llama-b")


def test_hostile_text_is_made_harmless_on_the_way_in() -> None:
    one = found("hub", "a/b", licence="\x1b]0;title\x07mit\u202e", tags=("x\n" * 3,))
    assert one.licence == "]0;titlemit"
    assert one.tags == ("x x x",)
    for hostile in ("a b", "<script>", "a\nb", "x" * 200, "é", ""):
        with pytest.raises(ValueError, match="id"):
            found("hub", hostile)

"""What is shipped loads, answers with no key, and is fit to be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pypdf import PdfReader

from config.environment import ROUTER_VARIABLES
from config.loader import load
from config.models import Settings

KNOWLEDGE = Path("config/knowledge")
DOCUMENTS = sorted(path for path in KNOWLEDGE.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def shipped() -> Settings:
    return load("config", environ={}, dotenv=None)


def needed(settings: Settings) -> set[str]:
    """Every variable that the configuration asks for."""
    names = {provider.model_env for provider in settings.providers}
    for host in settings.hosts.values():
        names |= {host.base_url_env, host.api_key_env}
    return {name for name in names if name}


@pytest.mark.parametrize("folder", ["config", "config/demo"])
def test_every_category_and_the_fallback_answer_with_no_key(folder: str) -> None:
    settings = load(folder, environ={}, dotenv=None)
    assert settings.enabled(settings.fallback.provider)
    assert settings.priorities.keys() == settings.categories.keys()
    for category in settings.categories:
        assert settings.order(category), category


def test_with_no_key_the_embedded_llama_answers_in_the_right_temper(shipped: Settings) -> None:
    assert shipped.order("technical") == ("llama-precise", "llama-creative")
    assert shipped.order("general") == ("llama-precise", "llama-creative")
    assert shipped.order("creative") == ("llama-creative", "llama-precise")


def test_three_variables_put_a_real_llama_first_everywhere() -> None:
    given = {
        "LLAMA_BASE_URL": "http://127.0.0.1:9/v1",
        "LLAMA_API_KEY": "k",
        "LLAMA_MODEL": "any-llama",
    }
    settings = load("config", environ=given, dotenv=None)
    assert settings.provider("llama-api").resolved_model == "any-llama"
    for category in settings.categories:
        assert settings.order(category)[0] == "llama-api"


def test_each_host_comes_alive_with_its_own_variables(shipped: Settings) -> None:
    for name, host in shipped.hosts.items():
        here = [provider for provider in shipped.providers if provider.host == name]
        assert here, f"{name} serves no provider"
        variables = {host.base_url_env, host.api_key_env, *(p.model_env for p in here)} - {None}
        given = {str(key): "http://127.0.0.1:9/v1" for key in variables}
        settings = load("config", environ=given, dotenv=None)
        assert all(settings.enabled(provider.name) for provider in here), name


def test_a_copy_with_another_provider_finds_it_by_its_name(shipped: Settings) -> None:
    tried = shipped.providers[0].model_copy(update={"name": "tried"})
    copy = shipped.model_copy(update={"providers": (*shipped.providers, tried)})
    assert copy.provider("tried") == tried
    with pytest.raises(KeyError):
        shipped.provider("tried")


def test_every_provider_has_a_place_in_some_order(shipped: Settings) -> None:
    placed = {name for order in shipped.priorities.values() for name in order}
    assert placed == {provider.name for provider in shipped.providers}


def test_the_example_environment_names_every_variable_and_sets_none(shipped: Settings) -> None:
    example = dotenv_values(".env.example")
    assert example.keys() == needed(shipped) | set(ROUTER_VARIABLES) - {"SPACE_ID"}
    assert not [name for name, value in example.items() if value]


def test_every_section_of_the_shipped_file_is_written_out(shipped: Settings) -> None:
    """Whoever reads the file sees each setting with its comment, and no default is hidden."""
    for section in ("fallback", "limits", "ranking", "breaker", "budget", "admission", "api"):
        for field in type(getattr(shipped, section)).model_fields:
            if f"{section}.{field}" != "fallback.max_tokens":
                assert f"{section}.{field}" in shipped.written, f"{section}.{field}"


def test_everything_simulated_says_so_in_its_name() -> None:
    settings = load("config/demo", environ={}, dotenv=None)
    assert {host.kind for host in settings.hosts.values()} == {"simulated"}
    for provider in settings.providers:
        assert provider.name.startswith("sim-")
        assert provider.resolved_model.startswith("sim-")


# ── the knowledge base ───────────────────────────────────────────────────────────────────────


def text_of(path: Path) -> str:
    if path.suffix == ".pdf":
        return " ".join(page.extract_text() for page in PdfReader(path).pages)
    text = path.read_text(encoding="utf-8")
    return re.sub(r"<[^>]+>", " ", text) if path.suffix == ".html" else text


def test_the_knowledge_base_is_large_and_varied_enough() -> None:
    articles = [path for path in DOCUMENTS if path.parent.name != "about"]
    assert len(articles) >= 45
    assert len(DOCUMENTS) - len(articles) >= 5
    assert {path.parent.name for path in articles} == {"everyday", "science", "technology", "world"}
    kinds = [path.suffix for path in articles]
    assert kinds.count(".txt") >= 2
    assert set(kinds) == {".md", ".txt", ".csv", ".html", ".pdf"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_document_is_neither_empty_nor_long(path: Path) -> None:
    words = len(text_of(path).split())
    assert 150 <= words <= (1_000 if path.suffix == ".csv" else 400)


@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTS if path.suffix == ".md"], ids=lambda path: path.stem
)
def test_an_article_has_one_title_and_short_sections(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert text.startswith("# ")
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert len(sections) >= 3
    for section in sections:
        assert len(section.split()) <= 160, section.splitlines()[0]


def test_titles_are_unique() -> None:
    titles = [
        path.read_text(encoding="utf-8").splitlines()[0]
        for path in DOCUMENTS
        if path.suffix in (".md", ".txt")
    ]
    assert len(set(titles)) == len(titles)

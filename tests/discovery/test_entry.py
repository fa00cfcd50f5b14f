"""The entry that a candidate becomes: a safe name, what is known, and nothing that is not."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from config.hosts import Name
from discovery import download
from discovery.entry import name_for
from discovery.search import Search
from providers.registry import Providers
from tests.conftest import SettingsFor


@given(key=st.text(max_size=80), taken=st.lists(st.text(max_size=12), max_size=5))
def test_whatever_a_model_is_called_its_name_is_valid_and_new(key: str, taken: list[str]) -> None:
    taken = [*taken, "model", "llama"]
    name = name_for(key, taken)
    TypeAdapter(Name).validate_python(name)
    assert name not in taken
    assert name not in ("auto", "passages")


def test_a_name_that_is_taken_gets_a_number() -> None:
    assert name_for("llama-3.3-70b", []) == "llama-3.3-70b"
    assert name_for("llama-3.3-70b", ["Llama-3.3-70B"]) == "llama-3.3-70b-2"
    assert name_for("auto", []) == "auto-2"
    assert name_for("../../etc", []) == "etc"


def test_weights_that_fit_are_those_whose_need_fits() -> None:
    for free in (0, 10**8, 10**9, 3 * 10**10):
        largest = download.largest_weights(free)
        assert largest == 0 or download.needed_bytes(largest) <= free
        assert download.needed_bytes(largest + 2**20) > free


def test_the_small_llama_needs_what_was_measured() -> None:
    assert 330e6 < download.needed_bytes(93 * 10**6) < 650e6


def test_this_machine_has_memory() -> None:
    assert download.available_bytes() > 0


async def test_the_hub_of_the_environment_is_asked_with_its_login(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    environ = {"HF_ENDPOINT": "https://hub.example/", "HF_TOKEN": "hf_secret"}
    hosts = {"huggingface": {"base_url": "http://127.0.0.1:9/v1", "api_key_env": "HF_TOKEN"}}
    settings = settings_for(hosts=hosts, environ=environ)
    place = Search(settings, Providers(settings))._hub()
    assert place.endpoint == "https://hub.example"
    assert place.key == "hf_secret"
    assert "hf_secret" not in repr(place)

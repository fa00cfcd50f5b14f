"""One model under its many names; LLaMAs told from others; untrusted text made harmless."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.identity import clean, family, key, parameters, tuned

SAME = {
    "llama-3.3-70b": [
        "meta-llama/Llama-3.3-70B-Instruct",
        "meta-llama/llama-3.3-70b-instruct:free",
        "llama-3.3-70b-versatile",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "accounts/fireworks/models/llama-v3p3-70b-instruct",
        "bartowski/Llama-3.3-70B-Instruct-GGUF",
        "llama3.3:70b",
        "llama3.3:70b-instruct-q4_K_M",
        "unsloth/Llama-3.3-70B-Instruct-bnb-4bit",
        "meta.llama3-3-70b-instruct-v1:0",
        "us.meta.llama3-3-70b-instruct-v1:0",
        "@cf/meta/llama-3.3-70b-instruct-fp8-fast",
        "meta-llama-3_3-70b-instruct",
        "meta/llama-3.3-70b-instruct-maas",
        "databricks-meta-llama-3-3-70b-instruct",
    ],
    "llama-3.3-nemotron-super-49b-v1.5": [
        "nvidia/Llama-3_3-Nemotron-Super-49B-v1_5",
        "nvidia/llama-3.3-nemotron-super-49b-v1.5",
        "nvidia_Llama-3_3-Nemotron-Super-49B-v1_5-Q4_K_M.gguf",
    ],
    "llama-4-maverick": [
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
        "meta-llama/llama-4-maverick",
        "meta.llama4-maverick-17b-instruct-v1:0",
        "accounts/fireworks/models/llama4-maverick-instruct-basic",
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct-Original",
        "llama4:128x17b",
    ],
    "llama-4-scout": [
        "meta-llama/Llama-4-Scout-17B-16E-Instruct",
        "us.meta.llama4-scout-17b-instruct-v1:0",
        "llama4:16x17b",
    ],
    "llama-3.1-8b": [
        "meta-llama/Meta-Llama-3.1-8B-Instruct",
        "llama-3.1-8b-instant",
        "@cf/meta/llama-3.1-8b-instruct-fp8",
        "meta.llama3-1-8b-instruct",
        "RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16",
        "hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4",
        "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf",
        "/home/me/models/Meta-Llama-3.1-8B-Instruct.IQ4_XS.gguf",
    ],
    "smollm2-135m": ["HuggingFaceTB/SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct.Q4_1.gguf"],
}


@pytest.mark.parametrize(("model", "names"), SAME.items())
def test_the_names_of_one_model_have_one_key(model: str, names: list[str]) -> None:
    assert {key(name) for name in names} == {model}


def test_other_sizes_versions_and_children_are_other_models() -> None:
    names = [
        "Llama-3.3-70B-Instruct",
        "Llama-3.1-70B-Instruct",
        "Llama-3.1-8B-Instruct",
        "Llama-3-8B-Instruct",
        "Llama-3.2-1B-Instruct",
        "Hermes-3-Llama-3.1-8B",
        "DeepSeek-R1-Distill-Llama-70B",
    ]
    assert len({key(name) for name in names}) == len(names)


def test_a_name_tells_size_and_tuning() -> None:
    assert parameters("meta-llama/Llama-3.3-70B-Instruct") == 70e9
    assert parameters("SmolLM2-135M") == 135e6
    assert parameters("mixtral-8x7b") == 56e9
    assert parameters("llama3.3") is None
    assert tuned("Llama-2-7b-chat-hf")
    assert not tuned("Llama-3.1-8B")


def test_a_declared_architecture_wins_over_the_name() -> None:
    assert family("someone/llama-killer-7b", "qwen2").llama is False
    assert family("someone/aurora-7b", "llama").llama is True


def test_tags_and_names_speak_where_nothing_is_declared() -> None:
    assert family("someone/aurora-7b", tags=("llama",)).llama is True
    assert family("deepseek-r1-distill-llama-70b").llama is True
    assert family("gpt-6-luna").llama is None


@pytest.mark.parametrize(
    ("name", "architecture", "bases", "llama"),
    [
        ("nvidia/Llama-3_3-Nemotron-Super-49B-v1_5", "nemotron-nas", (), True),
        ("bartowski/nvidia_Llama-3_3-Nemotron-Super-GGUF", "deci", (), True),
        ("nvidia/Aurora-49B", "DeciLMForCausalLM", ("meta-llama/Llama-3.3-70B-Instruct",), True),
        ("Deci/DeciLM-7B-instruct", "deci", (), False),
        ("someone/Llama-3.3-70B-Instruct-exl2", "exllama", (), True),
        ("someone/Llama-3.3-70B-Instruct", "compressed-tensors", (), True),
        ("someone/Llama-3.3-70B-Instruct-GGUF", "gguf", (), True),
        ("someone/aurora-7b", "LlamaForCausalLM", (), True),
        ("someone/llama-mistral-7b", "mistral", ("meta-llama/Llama-3.1-8B",), False),
        ("someone/aurora-7b", None, ("meta-llama/Llama-3.1-8B",), True),
    ],
)
def test_renamed_architectures_count_where_the_lineage_says_llama(
    name: str, architecture: str | None, bases: tuple[str, ...], llama: bool
) -> None:
    assert family(name, architecture, bases=bases).llama is llama


@pytest.mark.parametrize("name", ["meta-llama/Llama-Guard-4-12B", "llama-3.2-nv-embedqa-1b"])
def test_what_does_not_chat_is_no_candidate(name: str) -> None:
    assert family(name, "llama").llama is False


def test_escape_sequences_and_direction_overrides_are_dropped() -> None:
    assert clean("\x1b[31mred\x1b[0m\u202eevil\u200b\nname\x00") == "[31mred[0mevil name"


@given(st.text(max_size=400))
def test_clean_text_is_one_bounded_line_without_controls(text: str) -> None:
    cleaned = clean(text, 40)
    assert len(cleaned) <= 40
    assert not {unicodedata.category(c) for c in cleaned} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text(max_size=200))
def test_any_name_has_a_key(name: str) -> None:
    assert isinstance(key(name), str)
    parameters(name)
    family(name)

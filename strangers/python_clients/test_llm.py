"""Simon Willison's `llm`, with models of `extra-openai-models.yaml`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from conftest import ANSWER, QUESTION, get_weather

CLIENT = "llm"
PACKAGE = "llm"
NEEDS = (
    "in `extra-openai-models.yaml`: `api_base` with `/v1`, `api_key_name`, `supports_tools: true`"
)

MODELS = """
- model_id: router
  model_name: auto
  api_base: "{url}/v1"
  api_key_name: router
  supports_tools: true
  supports_schema: true
- model_id: failing
  model_name: broken
  api_base: "{url}/v1"
  api_key_name: router
  supports_tools: true
- model_id: breaking
  model_name: cut
  api_base: "{url}/v1"
  api_key_name: router
  supports_tools: true
- model_id: legacy
  model_name: auto
  api_base: "{url}/v1"
  api_key_name: router
  completion: true
"""


@pytest.fixture
def llm(tmp_path: Path, url: str, key: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "extra-openai-models.yaml").write_text(MODELS.format(url=url))
    (tmp_path / "keys.json").write_text(json.dumps({"router": key}))
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    import llm

    return llm


def test_prompts_streamed_and_whole(llm: Any) -> None:
    model = llm.get_model("router")
    assert "".join(model.prompt("Why is the sky blue?")).startswith("word0")
    assert model.prompt("Why?", system="Be brief", stream=False).text().startswith("word0")


@pytest.mark.parametrize("name", ["router", "failing"])
def test_tools(name: str, llm: Any) -> None:
    assert llm.get_model(name).chain(QUESTION, tools=[get_weather]).text().endswith(ANSWER)


def test_schemas(llm: Any) -> None:
    schema = llm.schema_dsl("city, people int")
    said = llm.get_model("router").prompt("Where is Lisbon?", schema=schema).text()
    assert set(json.loads(said)) == {"city", "people"}


def test_legacy_completions(llm: Any) -> None:
    said = llm.get_model("legacy").prompt("Why is the sky blue?").text()
    assert said.startswith("word0")


@pytest.mark.parametrize("stream", [True, False])
def test_another_provider_for_one_that_fails(stream: bool, llm: Any) -> None:
    said = llm.get_model("failing").prompt("Why is the sky blue?", stream=stream)
    assert said.text().startswith("word0")


@pytest.mark.parametrize("tools", [[get_weather], []], ids=["call", "text"])
def test_an_error_for_a_stream_that_is_cut(tools: Any, llm: Any) -> None:
    with pytest.raises(openai.APIError, match="in the middle of"):
        llm.get_model("breaking").chain(QUESTION, tools=tools).text()

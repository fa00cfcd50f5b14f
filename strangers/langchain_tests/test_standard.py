"""langchain-tests' standard suites: `ChatOpenAI` at the service, `ChatRouter` over HTTP and in this
process, with all that a capable model has switched on."""

from __future__ import annotations

import os
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import SecretStr

from graph.chat_model import ChatRouter
from graph.router import Router

CLIENT = "LangChain (`ChatOpenAI`, and `ChatRouter` of this project)"
PACKAGE = "langchain-openai"
NEEDS = "`base_url` with `/v1`; for embeddings `check_embedding_ctx_length=False`"
WORKS = ("langchain-tests' standard suites with tools, schemas, pictures and usage",)

LOCAL = "http://127.0.0.1:7860/v1"
"""Where nothing is asked, an address that is always the same."""


class Capable:
    """Everything that the scripted upstream can do."""

    has_tool_calling = True
    has_tool_choice = True
    has_structured_output = True
    supports_json_mode = True
    supports_image_inputs = True
    supports_image_urls = True
    supports_image_tool_message = True
    supports_pdf_inputs = True
    supports_audio_inputs = True
    supports_anthropic_inputs = True
    returns_usage_metadata = True
    supports_model_override = True
    model_override_value = "cheap"


def address() -> str:
    return os.environ["ROUTER_URL"]


class _OpenAI(Capable):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        key = SecretStr(os.environ["ROUTER_KEY"])
        return {"model": "auto", "base_url": f"{address()}/v1", "api_key": key}


class _OverHttp(Capable):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatRouter

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"base_url": address(), "api_key": SecretStr(os.environ["ROUTER_KEY"])}


class _InProcess(Capable):
    @pytest.fixture(autouse=True)
    def _with_router(self, router: Router) -> None:
        type(self)._router = router  # type: ignore[attr-defined]

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatRouter

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"router": self._router}  # type: ignore[attr-defined]

    @pytest.fixture
    def model(self, _with_router: None, request: Any) -> BaseChatModel:
        return self.chat_model_class(
            **{**self.standard_chat_model_params, **self.chat_model_params}  # type: ignore[attr-defined]
        )


class TestChatOpenAIUnit(_OpenAI, ChatModelUnitTests):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "auto", "base_url": LOCAL, "api_key": SecretStr("unit")}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        variables = {"OPENAI_API_KEY": "unit", "OPENAI_API_BASE": LOCAL}
        return variables, {"model": "auto"}, {"openai_api_base": LOCAL}


class TestChatOpenAI(_OpenAI, ChatModelIntegrationTests):
    pass


class TestChatRouterUnit(_OverHttp, ChatModelUnitTests):
    pass


class TestChatRouter(_OverHttp, ChatModelIntegrationTests):
    pass


class TestChatRouterInProcessUnit(_InProcess, ChatModelUnitTests):
    pass


class TestChatRouterInProcess(_InProcess, ChatModelIntegrationTests):
    pass

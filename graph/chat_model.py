"""The router as a LangChain chat model, in this process or over HTTP.

ChatRouter(router=router)                        a Router that runs already
ChatRouter.from_config("config")                 one of its own
ChatRouter(base_url="http://127.0.0.1:7860", api_key="…")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, Self

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_function, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from graph.chat_transport import InProcess, OverHttp, Transport
from graph.langchain_messages import openai_messages
from graph.router import Router

Method = Literal["json_schema", "function_calling", "json_mode"]


Structured = dict[str, object] | BaseModel
"""An answer that follows a schema."""


class ChatRouter(BaseChatModel):
    """Asks whichever model the router chooses. `model` is `auto`, `auto:<category>`, `auto:floor`,
    `auto:nitro` or a provider's name, and may be set for each call.

    A message's `response_metadata` has category, provider, role, cost and why; its `model_name` is
    the provider that answered.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, populate_by_name=True)

    router: Router | None = Field(default=None, exclude=True)
    base_url: str | None = None
    """Of a running service, with or without `/v1`."""
    api_key: SecretStr | None = None
    model_name: str = Field(default="auto", alias="model")
    temperature: float | None = None
    max_tokens: int | None = None
    stop: list[str] | str | None = Field(default=None, alias="stop_sequences")
    request_timeout: float | None = Field(default=None, alias="timeout")
    """Seconds, over HTTP only: in this process the race's own limits apply."""
    max_retries: int = 0
    """Over HTTP only: the router itself retries."""

    _transport: Transport | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _router_or_url(self) -> Self:
        if (self.router is None) == (self.base_url is None):
            raise ValueError("give `router` or `base_url`; `from_config` creates a router")
        return self

    @classmethod
    def from_config(
        cls, config: str | Path = "config", data: str | Path = "data", **fields: Any
    ) -> Self:
        """A model with a router of its own, which `close` ends. Raises ConfigError."""
        return cls(router=Router.from_config(config, data), **fields)

    def close(self) -> None:
        """Close the router in this process, or the connections to the service."""
        if self.router is not None:
            self.router.close()
        elif self._transport is not None:
            self._transport.close()

    async def aclose(self) -> None:
        """The same on a running event loop."""
        if self.router is not None:
            await self.router.aclose()
        elif self._transport is not None:
            await self._transport.aclose()

    @property
    def _llm_type(self) -> str:
        return "llm-router"

    @property
    def _identifying_params(self) -> dict[str, object]:
        return {"model_name": self.model_name, "base_url": self.base_url}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: object) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "llm-router"
        params["ls_model_name"] = str(kwargs.get("model") or self.model_name)
        if self.temperature is not None:
            params["ls_temperature"] = self.temperature
        if self.max_tokens is not None:
            params["ls_max_tokens"] = self.max_tokens
        if stop := stop or ([self.stop] if isinstance(self.stop, str) else self.stop):
            params["ls_stop"] = stop
        return params

    # -- asking -------------------------------------------------------------------------------

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        return _result(self._carrier.whole(self._payload(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> ChatResult:
        return _result(await self._carrier.awhole(self._payload(messages, stop, kwargs)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> Iterator[ChatGenerationChunk]:
        for message in self._carrier.pieces(self._payload(messages, stop, kwargs)):
            chunk = ChatGenerationChunk(message=message)
            if run_manager and isinstance(message.content, str):
                run_manager.on_llm_new_token(message.content, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: object,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for message in self._carrier.apieces(self._payload(messages, stop, kwargs)):
            chunk = ChatGenerationChunk(message=message)
            if run_manager and isinstance(message.content, str):
                await run_manager.on_llm_new_token(message.content, chunk=chunk)
            yield chunk

    @property
    def _carrier(self) -> Transport:
        if self._transport is None:
            if self.router is not None:
                self._transport = InProcess(self.router)
            else:
                key = self.api_key.get_secret_value() if self.api_key else None
                self._transport = OverHttp(
                    str(self.base_url),
                    key,
                    timeout_s=self.request_timeout,
                    max_retries=self.max_retries,
                )
        return self._transport

    def _payload(
        self, messages: list[BaseMessage], stop: list[str] | None, given: dict[str, object]
    ) -> dict[str, object]:
        """The request in OpenAI's form; the arguments of a call take precedence."""
        return {
            "model": self.model_name,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": stop or self.stop,
            **given,
            "messages": openai_messages(messages),
        }

    # -- tools and structure ------------------------------------------------------------------

    def bind_tools(
        self,
        tools: Sequence[dict[str, object] | type | Callable[..., object] | BaseTool],
        *,
        tool_choice: str | dict[str, object] | bool | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: object,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer these tools. `tool_choice`: a tool's name, `auto`, `none`, `any` or `required`
        (True), or OpenAI's object."""
        made = [convert_to_openai_tool(tool, strict=strict) for tool in tools]
        if tool_choice:
            kwargs["tool_choice"] = _choice(tool_choice, [t["function"]["name"] for t in made])
        if parallel_tool_calls is not None:
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        return self.bind(tools=made, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, object] | type | None = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Structured]:
        """Answers that follow the schema: instances for a pydantic class, otherwise dicts."""
        if schema is None and method != "json_mode":
            raise ValueError("`schema` is required except for `json_mode`")
        form = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
        if method == "function_calling":
            tool = convert_to_openai_tool(schema, strict=strict)  # type: ignore[arg-type]
            model = self.bind_tools(
                [tool],
                tool_choice=tool["function"]["name"],
                parallel_tool_calls=False,
                ls_structured_output_format={**form, "schema": tool},
                **kwargs,
            )
            return _parsed(model, _tool_parser(schema, tool["function"]["name"]), include_raw)
        if method == "json_schema":
            asked = _json_schema(schema, strict)
            form["schema"] = convert_to_openai_tool(schema)  # type: ignore[arg-type]
        elif method == "json_mode":
            asked = {"type": "json_object"}
        else:
            raise ValueError(f"unknown method {method!r}")
        bound = self.bind(response_format=asked, ls_structured_output_format=form, **kwargs)
        return _parsed(bound, _text_parser(schema), include_raw)


def _result(message: AIMessage) -> ChatResult:
    generation = ChatGeneration(message=message, generation_info=message.response_metadata)
    return ChatResult(generations=[generation], llm_output=message.response_metadata)


def _choice(given: str | dict[str, object] | bool, names: list[str]) -> str | dict[str, object]:
    if isinstance(given, dict):
        return given
    if given is True or given == "any":
        return "required"
    if given in names:
        return {"type": "function", "function": {"name": given}}
    if given in ("auto", "none", "required"):
        return str(given)
    raise ValueError(f"`tool_choice` {given!r} is not one of the tools {', '.join(names)}")


def _json_schema(schema: Any, strict: bool | None) -> dict[str, object]:
    function = convert_to_openai_function(schema, strict=strict)
    held: dict[str, object] = {"name": function["name"], "schema": function["parameters"]}
    if function.get("description"):
        held["description"] = function["description"]
    if strict is not None:
        held["strict"] = strict
    return {"type": "json_schema", "json_schema": held}


def _is_class(schema: object) -> bool:
    return isinstance(schema, type) and is_basemodel_subclass(schema)


def _tool_parser(schema: object, name: str) -> Runnable[AIMessage, Structured]:
    if _is_class(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def _text_parser(schema: object) -> Runnable[AIMessage, Structured]:
    return PydanticOutputParser(pydantic_object=schema) if _is_class(schema) else JsonOutputParser()


def _parsed(
    model: Runnable[LanguageModelInput, AIMessage],
    parser: Runnable[AIMessage, Structured],
    include_raw: bool,
) -> Runnable[LanguageModelInput, Structured]:
    if not include_raw:
        return model | parser
    tried = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    nothing = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | tried.with_fallbacks([nothing], exception_key="parsing_error")

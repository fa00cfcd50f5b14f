"""What hosts say when their models cannot do what is asked; the words are of public servers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.capability import refused_capability

TOOLS: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}], "tools": [{}]}
LOOK: dict[str, Any] = {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}
FORM: dict[str, Any] = {
    "messages": [{"role": "user", "content": "x"}],
    "response_format": {"type": "json_schema"},
}

MUST: dict[str, Any] = {**TOOLS, "tool_choice": "required"}
BOTH: dict[str, Any] = {**TOOLS, "response_format": {"type": "json_object"}}
FILE: dict[str, Any] = {"messages": [{"role": "user", "content": [{"type": "file"}]}]}
RECORDING: dict[str, Any] = {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}
CHANCES: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}], "logprobs": True}


@pytest.mark.parametrize(
    ("status", "words", "sent", "lacks"),
    [
        (400, "llama3 does not support tools", TOOLS, "tools"),
        (404, "No endpoints found that support tool use", TOOLS, "tools"),
        (400, '"auto" tool choice requires --enable-auto-tool-choice', TOOLS, "tools"),
        (500, "tools param requires --jinja flag", TOOLS, "tools"),
        (400, "Unsupported parameter: 'tools' is not supported with this model.", TOOLS, "tools"),
        (400, "This model does not support image input", LOOK, "images"),
        (422, "messages[0].content must be a string", LOOK, "images"),
        (500, "image input is not supported", LOOK, "images"),
        (400, "This response_format type is unavailable: not supported", FORM, "json_schema"),
        (400, "Invalid schema for function 'f': object is not of type string", TOOLS, None),
        (400, "Invalid schema for response_format 'x': oneOf is not permitted", FORM, None),
        (400, "temperature is not supported with this model", TOOLS, None),
        (429, "tools are not available: too many requests", TOOLS, None),
        (400, "llama3 does not support tools", LOOK, None),
        (400, "Unsupported parameter: 'parallel_tool_calls' is not supported.", TOOLS, None),
        (400, "tool_choice 'required' is not supported with this model", TOOLS, None),
        (400, "You uploaded an unsupported image. Use one of the following formats.", LOOK, None),
        (400, "The image is too large and cannot be read", LOOK, None),
        (
            400,
            "Invalid 'tools[0].function.name': string does not match pattern. Expected a string "
            "that matches the pattern '^[a-zA-Z0-9_-]+$'.",
            TOOLS,
            None,
        ),
        (
            400,
            "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a string with "
            "maximum length 40, but got a string with length 60 instead.",
            TOOLS,
            None,
        ),
        (400, "tools.0.function.strict: Extra inputs are not permitted", TOOLS, None),
        (400, "body -> tools -> 0 -> cache_control: extra fields not permitted", TOOLS, None),
        (400, "Invalid 'tools': array too long. Expected an array with maximum", TOOLS, None),
        (400, "tools: Tool names must be unique; duplicates are not allowed", TOOLS, None),
        (400, "Unsupported value: 'tool_choice' does not support 'any'", TOOLS, None),
        (
            400,
            "Invalid 'response_format.json_schema.name': string does not match pattern. Expected "
            "a string that matches the pattern",
            FORM,
            None,
        ),
        (
            400,
            "Missing required parameter: 'response_format.json_schema'; unsupported without it",
            FORM,
            None,
        ),
        (400, "Invalid 'messages[0].content': string too long. Expected a string", LOOK, None),
        (
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages; other "
            "roles are not allowed",
            TOOLS,
            None,
        ),
        (422, "body.tools: Extra inputs are not permitted", TOOLS, "tools"),
        (400, "Unrecognized request argument supplied: tools", TOOLS, "tools"),
        (400, "Unrecognized request arguments supplied: tool_choice, tools", TOOLS, "tools"),
        (400, "messages[0]: unknown variant `image_url`, expected `text`", LOOK, "images"),
        (400, "no support for image input: data:image/png;base64,iVBORw0KGgo", LOOK, "images"),
    ],
)
def test_a_refusal_names_the_capability_that_was_asked_for(
    status: int, words: str, sent: dict[str, Any], lacks: str | None
) -> None:
    body = json.dumps({"error": {"message": words}}).encode()
    assert refused_capability(status, body, sent) == lacks


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ("Unsupported MIME type: image/gif", LOOK),
        ("File type image/avif is not supported", LOOK),
        ("image URLs are not supported, please use base64 encoded data instead", LOOK),
        ("Multiple images are not supported", LOOK),
        ("This model does not support more than one image per message", LOOK),
        ("Images are not allowed in system messages", LOOK),
        ("system prompts are not supported together with images", LOOK),
        ("Expected a data URL of type application/pdf, but got unsupported 'text/plain'.", FILE),
        ("Unsupported file format: .csv", FILE),
        ("Unsupported audio format: m4a. Supported: wav, mp3", RECORDING),
        ("tool_choice does not support being set to required or object in thinking mode", MUST),
        ("Thinking may not be enabled when tool_choice forces tool use.", MUST),
        ("this model does not support this tool_choice", MUST),
        ("Function calling with a response mime type: 'application/json' is unsupported", BOTH),
        ("tools and response_format are not supported together", BOTH),
        ("Parallel tool calls are not supported", TOOLS),
        ("Streaming is not supported with tools", TOOLS),
        ("json_schema: keyword 'pattern' is not supported", FORM),
        ("The JSON schema contains a feature not supported by the grammar: response_format", FORM),
        ("Unsupported schema keyword in response_format: oneOf", FORM),
        ("top_logprobs greater than 5 is not supported", CHANCES),
        ("logprobs are not supported together with streaming", CHANCES),
    ],
)
def test_a_refusal_of_a_form_a_value_or_a_combination_names_no_capability(
    words: str, sent: dict[str, Any]
) -> None:
    """Else one caller's GIF would keep everybody's pictures from that model for a week."""
    body = json.dumps({"error": {"message": words}}).encode()
    assert refused_capability(400, body, sent) is None

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
    ],
)
def test_a_refusal_names_the_capability_that_was_asked_for(
    status: int, words: str, sent: dict[str, Any], lacks: str | None
) -> None:
    body = json.dumps({"error": {"message": words}}).encode()
    assert refused_capability(status, body, sent) == lacks

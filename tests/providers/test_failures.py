from __future__ import annotations

import json

import pytest

from providers.failures import QUOTE_CHARACTERS, Place, from_event, from_response
from providers.failures import retry_after_s as read_retry_after

PLACE = Place("llama", "groq", "https://api.groq.com/openai/v1", "my-secret", "GROQ_API_KEY")


def body(message: str, **fields: object) -> bytes:
    return json.dumps({"error": {"message": message, **fields}}).encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_reply"),
        (401, "auth"),
        (402, "auth"),
        (403, "auth"),
        (404, "not_found"),
        (408, "timeout"),
        (413, "context_length"),
        (422, "bad_reply"),
        (429, "rate_limited"),
        (500, "server"),
        (503, "server"),
        (529, "server"),
    ],
)
def test_each_status_has_its_kind(status: int, kind: str) -> None:
    error = from_response(PLACE, status, {}, body("no"))
    assert (error.kind, error.status) == (kind, status)


@pytest.mark.parametrize(
    "page",
    [
        body("…", code="context_length_exceeded"),  # OpenAI
        body("Please reduce the length of the messages or completion."),  # Groq
        body(
            "the request exceeds the available context size. try increasing the context size",
            code=400,
            type="exceed_context_size_error",
        ),  # llama.cpp
        json.dumps(
            {
                "object": "error",
                "message": "This model's maximum context length is 4096 tokens.",
                "type": "BadRequestError",
                "code": 400,
            }
        ).encode(),  # vLLM
        body("'max_tokens' or 'max_completion_tokens' is too large: 9. This model's maximum "
             "context length is 4096 tokens"),  # vLLM
        body("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193"),
        json.dumps({"error": "Input validation error: `inputs` must have less than 1024 tokens"})
        .encode(),  # text-generation-inference
        body("The prompt is too long: 20000, model maximum context length: 8191"),  # Fireworks
    ],
)  # fmt: skip
def test_a_prompt_too_long_is_known_in_every_hosts_words(page: bytes) -> None:
    assert from_response(PLACE, 400, {}, page).kind == "context_length"


@pytest.mark.parametrize(
    ("status", "page"),
    [
        (400, body("filtered", code="content_filter")),
        (400, body("filtered", innererror={"content_filter_result": {}})),
        (403, body("flagged", metadata={"flagged_input": "…", "reasons": ["violence"]})),
    ],
)
def test_a_rejected_prompt_is_a_content_filter(status: int, page: bytes) -> None:
    assert from_response(PLACE, status, {}, page).kind == "content_filter"


def test_an_unknown_model_is_not_found_even_as_a_400() -> None:
    assert from_response(PLACE, 400, {}, body("x is not a valid model ID")).kind == "not_found"


def test_the_sentence_names_provider_host_key_variable_and_the_servers_words() -> None:
    error = from_response(PLACE, 401, {}, body("Invalid API Key"))
    assert str(error) == (
        "llama at groq (api.groq.com) refused the key in GROQ_API_KEY (HTTP 401): “Invalid API Key”"
    )


def test_an_html_page_is_quoted_as_text_and_cut() -> None:
    page = b"<html><style>p {}</style><h1>Bad  Gateway</h1>" + b"<p>x" * 500
    words = str(from_response(PLACE, 502, {}, page)).partition("“")[2]
    assert words.startswith("Bad Gateway x")
    assert len(words) <= QUOTE_CHARACTERS + 1


@pytest.mark.parametrize(
    "secret",
    [
        "my-secret",
        "sk-proj-abcDEF123456",
        "sk-abcd********wxyz",
        "gsk_0123456789abcdef",
        "hf_abcdefghijklm",
        "Bearer abc.def-123",
    ],
)
def test_no_error_repeats_a_key(secret: str) -> None:
    error = from_response(PLACE, 401, {}, body(f"Incorrect API key provided: {secret}."))
    assert secret.removeprefix("Bearer ") not in str(error)
    assert "[key]" in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:10 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            10.0,
        ),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 400}, 86_400.0),
        ({"retry-after-ms": "nan"}, 0.0),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert read_retry_after(headers) == seconds


def test_a_redirect_is_told_and_not_followed() -> None:
    error = from_response(PLACE, 307, {"location": "https://evil.example/v1?key=1"}, b"")
    assert error.kind == "bad_reply"
    assert "redirects to evil.example" in str(error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "slow down", "code": 429}, "rate_limited"),
        ({"message": "overloaded", "type": "server_error"}, "server"),
        ({"message": "too long", "code": "context_length_exceeded"}, "context_length"),
        ({"message": "no", "code": "content_filter"}, "content_filter"),
        ("something broke", "server"),
        (None, "server"),
    ],
)
def test_an_error_in_mid_stream_has_its_kind(error: object, kind: str) -> None:
    assert from_event(PLACE, error).kind == kind

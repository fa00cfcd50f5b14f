from __future__ import annotations

import json

import pytest

from providers.failures import QUOTE_CHARACTERS, Place, from_event, from_response
from providers.waiting import asked_in_headers

PLACE = Place("llama", "groq", "https://api.groq.com/openai/v1", "my-secret", "GROQ_API_KEY")


def body(message: str, **fields: object) -> bytes:
    return json.dumps({"error": {"message": message, **fields}}).encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "auth"),
        (402, "auth"),
        (403, "auth"),
        (404, "not_found"),
        (408, "timeout"),
        (413, "context_length"),
        (410, "not_found"),
        (422, "bad_request"),
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
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after": "1m30s"}, 90.0),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert asked_in_headers(headers) == seconds


def test_a_redirect_is_named_and_not_followed() -> None:
    error = from_response(PLACE, 307, {"location": "https://evil.example/v1?key=1"}, b"")
    assert error.kind == "bad_reply"
    assert "redirects to evil.example" in str(error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "slow down", "code": 429}, "rate_limited"),
        ({"message": "it broke", "type": "server_error"}, "server"),
        ({"message": "overloaded", "type": "server_error"}, "rate_limited"),
        ({"message": "too long", "code": "context_length_exceeded"}, "context_length"),
        ({"message": "no", "code": "content_filter"}, "content_filter"),
        ("something broke", "server"),
        (None, "server"),
    ],
)
def test_an_error_in_mid_stream_has_its_kind(error: object, kind: str) -> None:
    assert from_event(PLACE, error).kind == kind


def said(message: object = "no", **fields: object) -> dict[str, object]:
    return {"error": {"message": message, **fields}}


@pytest.mark.parametrize(
    ("status", "page", "kind"),
    [
        (400, said(code="model_decommissioned"), "not_found"),  # Groq
        (400, said(code="model_not_available"), "not_found"),  # Together
        (400, said(code="model_not_supported"), "not_found"),  # the Hugging Face router
        (400, said(code="unknown_model"), "not_found"),  # Azure
        (400, {"object": "error", "message": "x", "type": "invalid_model"}, "not_found"),  # Mistral
        (400, said("Model Not Exist"), "not_found"),  # DeepSeek
        (400, {"message": "The provided model identifier is invalid."}, "not_found"),  # Bedrock
        (410, {}, "not_found"),
        (400, {"errors": [{"message": "No such model @cf/x or task", "code": 5007}]}, "not_found"),
        (404, {"detail": {"error": "Model is not found"}}, "not_found"),  # DeepInfra
        (429, said("You exceeded your current quota", code="insufficient_quota"), "auth"),  # OpenAI
        (412, said("Account x is suspended, due to unpaid invoices."), "auth"),  # Fireworks
        (400, said("Your credit balance is too low to access the API."), "auth"),  # Anthropic
        (403, {"error": "Your team doesn't have any credits yet.", "code": "x"}, "auth"),  # xAI
        (402, said("Insufficient Balance"), "auth"),  # DeepSeek
        (402, said("You requested 4096 tokens but can only afford 2000."), "bad_request"),
        (400, said(code="invalid_prompt"), "content_filter"),  # OpenAI
        (400, [said("The key is no good.", details=[{"reason": "API_KEY_INVALID"}])], "auth"),
        (400, {"code": "Client error", "error": "Incorrect API key provided: x***z."}, "auth"),
        (413, said(code="rate_limit_exceeded", type="tokens"), "rate_limited"),  # Groq
        (413, said("Request too large."), "context_length"),
        (400, said("'stop' is not supported", param="stop"), "bad_request"),
        (400, said("temperature is too high"), "bad_request"),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "Input should be 1"}]}, "bad_request"),
        (429, said("Resource exhausted: exceeded your current quota, see billing",
                   status="RESOURCE_EXHAUSTED"), "rate_limited"),  # Gemini
        (503, said("The model is overloaded."), "server"),
        (529, said("busy", type="overloaded_error"), "rate_limited"),  # Anthropic
        (500, said("maximum context length is 2048 tokens"), "context_length"),
        (429, {"error": {"message": "Provider returned error", "code": 429,
                         "metadata": {"raw": '{"error": "upstream says no"}'}}}, "rate_limited"),
    ],
)  # fmt: skip
def test_the_kind_is_read_from_status_code_type_and_words_alike(
    status: int, page: object, kind: str
) -> None:
    error = from_response(PLACE, status, {}, json.dumps(page).encode())
    assert error.kind == kind


@pytest.mark.parametrize(
    "page",
    [
        {"errors": [{"message": "the words"}]},
        {"detail": {"error": "the words"}},
        {"detail": "the words"},
        {"detail": [{"loc": ["body"], "msg": "the words"}]},
        [{"error": {"message": "the words"}}],
        {"error": {"message": "…", "metadata": {"raw": '{"error": {"message": "the words"}}'}}},
        {"message": '{"error": {"message": "the words"}}'},
        {"base_resp": {"status_code": 1008, "status_msg": "the words"}},
        {"code": 500, "msg": "the words"},
        "the words",
    ],
)
def test_the_servers_words_are_found_wherever_they_stand(page: object) -> None:
    assert "the words" in str(from_response(PLACE, 400, {}, json.dumps(page).encode()))


def test_a_call_that_wants_credit_says_so() -> None:
    assert "wants credit first" in str(from_response(PLACE, 429, {}, body("", code="credit_limit")))


@pytest.mark.parametrize(
    ("headers", "page", "seconds"),
    [
        ({}, said(details=[{"@type": "google.rpc.RetryInfo", "retryDelay": "52s"}]), 52.0),
        ({}, said("Please try again in 27.66s."), 27.66),
        ({}, said("Please try again in 1m2.5s."), 62.5),
        ({}, said("try again in 40ms"), 0.04),
        ({}, said("Please retry after 59 seconds."), 59.0),
        ({}, said(retry_after=3), 3.0),
        ({"x-ratelimit-reset-requests": "27.66s"}, said(), 27.66),
        ({"ratelimit-reset": "50"}, said(), 50.0),
        (
            {
                "x-ratelimit-reset-requests": "2m59s",
                "x-ratelimit-reset-tokens": "7.66s",
                "x-ratelimit-remaining-tokens": "0",
            },
            said(),
            7.66,
        ),
        (
            {
                "anthropic-ratelimit-tokens-reset": "2026-10-21T07:28:10Z",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            said(),
            10.0,
        ),
        ({"retry-after": "5"}, said("Please try again in 27.66s."), 5.0),
        ({}, said("Please try again later."), None),
    ],
)
def test_the_time_to_wait_is_read_from_every_place_and_unit(
    headers: dict[str, str], page: object, seconds: float | None
) -> None:
    error = from_response(PLACE, 429, headers, json.dumps(page).encode())
    assert error.retry_after_s == seconds


def test_when_a_limit_resets_says_nothing_of_another_error() -> None:
    headers = {"x-ratelimit-reset-requests": "27s"}
    assert from_response(PLACE, 500, headers, body("it broke")).retry_after_s is None

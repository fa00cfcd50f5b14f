"""Vendors' vocabulary of errors, as tables. Finish reasons are in `finish`.

Words are compared in the form that `fused` returns. The vendor beside an entry is one that uses it;
often several do. Sources are the vendors' public API references and the public bug reports of
clients.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from providers.base import ErrorKind


def normal(word: str) -> str:
    """`finish_reason_MAX-TOKENS` as `max_tokens`: without case, prefix and style of separator."""
    bare = re.sub(r"[\s\-]+", "_", word.strip().casefold())
    return bare.removeprefix("finish_reason_").removeprefix("finishreason.").strip("_.")


def fused(word: str) -> str:
    """`maxTokens`, `MAX_TOKENS` and `max-tokens` all become `maxtokens`."""
    return re.sub(r"[\W_]+", "", normal(word))


# -- what an error is ------------------------------------------------------------------------------

_CODES: dict[ErrorKind, tuple[str, ...]] = {
    "content_filter": (
        "content_filter",  # Azure
        "content_policy_violation",  # OpenAI
        "responsibleaipolicyviolation",  # Azure
        "invalid_prompt",  # OpenAI
        "data_inspection_failed",  # DashScope
        "datainspectionfailed",
        "moderation_blocked",
        "content_moderation",
        "safety_violation",
        "sensitivecontentdetected",  # ModelArk
        "1301",  # Zhipu
    ),
    "context_length": (
        "context_length_exceeded",  # OpenAI
        "exceed_context_size_error",  # llama.cpp
        "string_above_max_length",  # OpenAI
        "context_window_exceeded",
        "request_too_large",  # Anthropic
        "prompt_too_long",
        "input_too_long",
        "1261",  # Zhipu
    ),
    "auth": (
        "invalid_api_key",  # OpenAI
        "api_key_invalid",  # Google
        "incorrect_api_key",
        "invalid_authentication",
        "invalid_authentication_error",  # Moonshot
        "authentication_error",  # Anthropic
        "authenticationerror",  # vLLM
        "permission_error",  # Anthropic
        "permission_denied",  # Google
        "unauthenticated",  # Google
        "unauthorized",
        "forbidden",
        "access_denied",
        "account_deactivated",  # OpenAI
        "account_suspended",
        "wrong_api_key",  # Cerebras
        "unrecognized_client",  # AWS, with the next two
        "expired_token",
        "invalid_signature",
    ),
    "not_found": (
        "model_not_found",  # OpenAI
        "model_decommissioned",  # Groq
        "model_not_available",  # Together
        "model_not_supported",  # the Hugging Face router
        "model_not_exist",
        "unknown_model",  # Azure
        "invalid_model",  # Mistral
        "model_deprecated",
        "model_terms_required",  # Groq
        "deploymentnotfound",  # Azure
        "modelnotfound",
        "modelnotfounderror",
        "not_found_error",  # Anthropic
        "1211",  # Zhipu
    ),
    "rate_limited": (
        "rate_limit_exceeded",  # OpenAI, Groq
        "rate_limit_error",  # Anthropic
        "rate_limit_reached_error",  # Moonshot
        "rate_limited",  # Mistral
        "rate_limit",
        "ratelimitreached",  # Azure
        "ratelimitexceeded",
        "too_many_requests",
        "too_many_requests_error",  # Cerebras
        "request_quota_exceeded",  # Cerebras
        "token_quota_exceeded",  # Cerebras
        "queue_exceeded",  # Cerebras
        "capacity_exceeded",  # Groq
        "resource_exhausted",  # Google
        "throttling",  # DashScope
        "throttling.ratequota",
        "throttling.allocationquota",
        "throttlingexception",  # Bedrock
        "limit_requests",  # DashScope
        "overloaded_error",  # Anthropic
        "overloaded",
        "engine_overloaded_error",  # Moonshot
        "engine_overloaded",
        "server_overloaded",
        "serveroverloaded",  # ModelArk
        "slow_down",  # OpenAI
        "requests",  # OpenAI's and Groq's types of limit
        "tokens",
        "1302",  # Zhipu, with the next
        "1305",
    ),
    "timeout": (
        "deadline_exceeded",  # Google
        "timeout",
        "timeout_error",
        "request_timeout",
        "gateway_timeout",
    ),
    "server": (
        "server_error",  # OpenAI
        "internal_server_error",
        "internal_error",
        "api_error",  # Anthropic
        "internal",  # Google
        "unavailable",  # Google
        "service_unavailable",
        "serviceunavailable",
        "upstream_error",
    ),
}
CODES: dict[str, ErrorKind] = {
    fused(code): kind for kind, codes in _CODES.items() for code in codes
}
"""By an error's `code`, `type`, `status` or `reason`; CREDIT takes precedence."""

CREDIT = frozenset(
    {
        "insufficient_quota",  # OpenAI
        "billing_hard_limit_reached",  # OpenAI
        "billing_not_active",  # OpenAI
        "billing_error",  # Anthropic
        "exceeded_current_quota_error",  # Moonshot
        "insufficient_balance",  # DeepSeek
        "insufficient_credits",
        "insufficient_funds",
        "credit_limit",  # Together
        "payment_required",
        "arrearage",  # DashScope
        "1113",  # Zhipu
    }
)
"""Codes of an account without funds: `auth`, since a person must act."""
_CREDIT = frozenset(map(fused, CREDIT))

REFUSING = frozenset({400, 402, 403, 404, 405, 406, 411, 412, 413, 415, 422, 431})
"""Statuses that hosts also use for errors with another status elsewhere: the message decides
first."""


def _words(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE)


CREDIT_WORDS = _words(
    r"(?:credit|account|wallet)s?\W+balance\W+(?:is\W+)?(?:too\W+low|insufficient)",  # Anthropic
    r"insufficient\W+(?:account\W+)?(?:balance|credits?|funds)",
    r"\b(?:no|out of|not enough|run out of|need more|used all)\b.{0,30}\bcredits?\b",
    r"\baccount\b.{0,60}\bsuspended\b|\bsuspended\b.{0,60}\baccount\b",  # Fireworks
    r"(?:doesn't|does not) have any credits",  # xAI
    r"spending limit",
)
CAN_PAY_LESS = _words(
    r"\bfewer\W+max_tokens\b|\bcan (?:only )?(?:pay for|afford)\b",  # OpenRouter
    r"\b(?:reduce|lower)\b.{0,30}\bmax_(?:completion_)?tokens\b",
)
"""A 402 about this request alone."""

WORDS: tuple[tuple[ErrorKind, re.Pattern[str]], ...] = (
    (
        "rate_limited",
        _words(
            r"rate.?limit|too many requests|\bTPM\b|\bRPM\b|\bTPD\b|\bRPD\b|tokens per (?:min|day)",
            r"requests per (?:min|day|sec)|\bthrottl|slow down|\bconcurrency limit|quota exceeded",
            r"exceeded your.{0,30}\bquota",
        ),
    ),
    (
        "auth",
        _words(
            r"api.?key\W.{0,40}\b(?:invalid|incorrect|expired|not valid|missing|revoked)",
            r"\b(?:invalid|incorrect|expired|wrong|missing|no|bad)\b.{0,20}\bapi.?key\b",
            r"\b(?:key|access token)\b.{0,20}\bis not (?:accepted|valid|authorized)",
            r"invalid (?:authentication|credentials|bearer)|authentication fail",
            r"\b(?:bearer|access|security|auth\w*)\W?(?:token|header)\b.{0,60}"
            r"\b(?:invalid|malformed|missing|expired|incorrect)",
            r"\binvalid (?:access |bearer |auth )?token\b",
            r"\baccount\b.{0,20}\b(?:is not active|inactive|disabled|blocked|deactivated)",
            r"\bunauthori[sz]ed\b|missing authentication|not authenticated",
        ),
    ),
    (
        "context_length",
        _words(
            r"context.length|context.size|context.window|maximum model length|max_model_len",
            r"(?:prompt|input|request) is too long|prompt too long",
            r"inputs?\W* tokens \+ \W*max_new_tokens|must have less than \d+ tokens",
            r"reduce the length of (?:the|your) (?:messages|prompt|input)",
            r"too many (?:input )?tokens|maximum number of tokens|exceeds? the max\w* \w*.?tokens",
            r"input token count.{0,40}exceeds",  # Gemini
            r"range of input length should be",  # DashScope
        ),
    ),
    (
        "not_found",
        _words(
            r"not a valid model|no such model|unknown model|model not exist|invalid model\b",
            r"model identifier is invalid",  # Bedrock
            r"\bmodel\b.{0,80}\b(?:does not exist|doesn't exist|not found|not available)",
            r"\bmodel\b.{0,80}\b(?:decommissioned|deprecated|retired|no longer (?:available|supp))",
            r"\bmodel\b.{0,60}\bis not supported by (?:any|this) provider",  # Hugging Face
            r"\bmodel\b.{0,60}\bnot deployed",
        ),
    ),
    (
        "content_filter",
        _words(
            r"content management policy|content.?policy|content.?filter|safety (?:system|policy)",
            r"usage polic|flagged (?:as|by|for)|violat\w+ .{0,40}\bpolic|inappropriate content",
        ),
    ),
)
"""In the order in which they are tried, if the status alone is not conclusive."""

PASSING_WORDS: tuple[tuple[ErrorKind, re.Pattern[str]], ...] = (
    (
        "rate_limited",
        _words(
            r"overloaded|\bbusy\b|at capacity|no capacity|capacity exceeded"
            r"|queue (?:is )?full|try again later|high demand"
        ),
    ),
    ("timeout", _words(r"timed? ?out|deadline exceeded")),
    (
        "server",
        _words(
            r"internal (?:server )?error|bad gateway|service (?:is )?(?:temporarily )?unavailable",
            r"upstream|server error|engine|crashed|out of memory|connection (?:refused|reset)",
        ),
    ),
)
"""The same for errors without a status: in a stream, or as text in a successful response."""

ERROR_WORDS = _words(
    r"error|exception|traceback|fail|overload|exceed|unavailable|denied|forbidden|unauthori[sz]ed",
    r"too many|rate.?limit|quota|busy|timed? ?out|not (?:found|allowed|supported)|invalid",
)
"""Words that distinguish an error in plain text from a keep-alive."""


def kind_of_codes(codes: Iterable[str]) -> ErrorKind | None:
    """The kind of the most specific of these codes."""
    named = {word for code in codes for word in (fused(code), _bare(code))}
    found = {CODES[word] for word in named & CODES.keys()}
    return next((kind for kind in _CODES if kind in found), None)


def _bare(code: str) -> str:
    """`ThrottlingException`, `RateLimitError` without the suffix that marks an error."""
    return fused(code).removesuffix("exception").removesuffix("error")


def kind_of_words(
    words: str, tables: Iterable[tuple[ErrorKind, re.Pattern[str]]] = WORDS
) -> ErrorKind | None:
    return next((kind for kind, said in tables if said.search(words)), None)


def wants_credit(status: int | None, codes: frozenset[str], words: str) -> bool:
    """Whether the account lacks funds; a 402 about the size of this request alone does not
    count."""
    if any(fused(code) in _CREDIT for code in codes):
        return True
    if status == 402:
        return not CAN_PAY_LESS.search(words)
    by_status = status is None or status in REFUSING or status in (401, 429)
    return by_status and CREDIT_WORDS.search(words) is not None

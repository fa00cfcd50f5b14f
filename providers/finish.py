"""The meaning of hosts' finish reasons.

Reasons are compared in the form that `fused` returns; the vendor beside one is one that uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableSet
from dataclasses import dataclass, field

from config.hosts import FinishMeaning
from providers.vendor_words import fused

NO_END = frozenset({"", "null", "none", "unspecified", "notfinished", "inprogress"})
"""Values that some hosts send on every chunk before the last."""

_ENDS: dict[FinishMeaning, tuple[str, ...]] = {
    "stop": (
        "stop",
        "end_turn",  # Anthropic
        "stop_sequence",  # Anthropic, text-generation-inference
        "eos",  # Together
        "eos_token",  # text-generation-inference, watsonx
        "stop_token",
        "complete",  # Cohere
        "completed",
        "finish",  # Bedrock
        "finished",
        "end",
        "end_of_text",  # AI21
        "end_of_turn",
        "end_of_sequence",
        "eot",
        "eot_id",  # LLaMA's own mark
        "eos_found",
        "stop_str",
        "stop_word",
        "stop_words",
        "done",
        "natural",
        "normal",  # Baidu
    ),
    "length": (
        "length",
        "max_tokens",  # Anthropic, Gemini, Cohere
        "max_output_tokens",
        "max_length",
        "max_new_tokens",
        "model_length",  # Mistral
        "token_limit",  # watsonx
        "model_context_window_exceeded",  # Anthropic, Zhipu
        "context_length",
        "context_length_exceeded",
        "context_window",
        "context_limit",
        "max_completion_tokens",
        "max_tokens_reached",
        "max_tokens_exceeded",
        "output_limit",
        "output_token_limit",
        "length_limit",
        "length_capped",
        "truncated",
        "limit",
    ),
    "tool_calls": (
        "tool_calls",
        "tool_call",  # Cohere
        "tool_use",  # Anthropic
        "function_call",  # OpenAI, before tools
        "function_calls",
        "tools",
    ),
    "content_filter": (
        "content_filter",
        "content_filtered",  # Bedrock
        "safety",  # Gemini, with the next six
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "image_safety",
        "language",
        "refusal",  # Anthropic
        "guardrail_intervened",  # Bedrock
        "guardrails",
        "model_armor",  # Vertex AI, with the next two
        "jailbreak",
        "image_prohibited_content",
        "image_recitation",
        "error_toxic",  # Cohere
        "sensitive",  # Zhipu
        "moderation",
        "moderated",
        "content_moderation",
        "content_policy",
        "content_policy_violation",
        "policy_violation",
        "safety_stop",
        "safety_violation",
        "flagged",
        "censored",
        "refused",
        "blocked",
    ),
    "error": (
        "error",  # Mistral, OpenRouter
        "failed",
        "abort",  # vLLM
        "aborted",
        "cancelled",
        "canceled",
        "user_cancel",  # Cohere
        "timeout",
        "time_limit",  # watsonx
        "error_limit",  # Cohere
        "network_error",  # Zhipu
        "insufficient_system_resource",  # DeepSeek
        "malformed_function_call",  # Gemini, with the next three
        "unexpected_tool_call",
        "too_many_tool_calls",
        "other",
    ),
}
FINISH_REASONS: dict[str, FinishMeaning] = {
    fused(word): meaning for meaning, words in _ENDS.items() for word in words
}

MOST_UNKNOWN = 20
"""Maximum number of unknown reasons remembered for a host; one that sends more makes them up."""


@dataclass(frozen=True, slots=True)
class FinishWords:
    """One host's finish reasons: its configured ones, then every vendor's; `unknown` has the
    others."""

    host: str
    own: Mapping[str, FinishMeaning] = field(default_factory=dict)
    unknown: MutableSet[str] = field(default_factory=set)

    def meaning(self, word: object) -> FinishMeaning | None:
        """The meaning of a reason; None if it does not end the answer, `error` if it is unknown."""
        if isinstance(word, dict):
            word = word.get("type") or word.get("reason")
        if not word and not isinstance(word, str):
            return None
        said = fused(str(word))
        for name, meaning in self.own.items():
            if fused(name) == said:
                return meaning
        if said in NO_END and (said or not str(word).strip()):
            return None
        known = FINISH_REASONS.get(said) or FINISH_REASONS.get(fused(str(word).partition(":")[0]))
        if known is None and len(self.unknown) < MOST_UNKNOWN:
            self.unknown.add(str(word)[:60])
        return known or "error"

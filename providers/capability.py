"""Recognises from a host's refusal which capability its model lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from config.hosts import Capability
from providers.error_reply import ErrorReply, error_in_body

_STATUSES = frozenset({400, 404, 405, 415, 422, 500, 501})
_CANNOT = re.compile(
    r"not (?:be )?(?:supported|available|allowed|implemented|enabled|permitted|capable|accept)"
    r"|unsupported|(?:does|do)(?: not|n't) (?:support|accept|have|allow)|no support"
    r"|cannot (?:process|read|use|handle|accept)|no endpoints? found|requires? --|needs? --"
    r"|invalid (?:content )?type|must be a string|expected (?:a )?string|should be a valid string"
    r"|unknown (?:parameter|argument|field|content|variant)|unrecogni[sz]ed"
    r"|extra (?:inputs|fields)",
    re.IGNORECASE,
)
_ABOUT: dict[Capability, re.Pattern[str]] = {
    "tools": re.compile(
        r"\btools?\b|tool[_ -]?(?:choice|use|call)|function[_ -]?call|\bfunctions?\b", re.I
    ),
    "images": re.compile(
        r"\bimages?\b|image_url|\bvision\b|multi-?modal|content.{0,40}(?:string|str\b)"
        r"|(?:sequence|array|list).{0,40}string",
        re.I,
    ),
    "audio": re.compile(r"\baudio\b|input_audio|content.{0,40}string", re.I),
    "files": re.compile(r"\bfiles?\b|\bpdfs?\b|documents?|content.{0,40}string", re.I),
    "json_schema": re.compile(
        r"response_?format|json_?schema|structured[_ ]outputs?|\bgrammar\b|guided", re.I
    ),
    "json_object": re.compile(r"response_?format|json_?object|json[_ ]mode", re.I),
    "logprobs": re.compile(r"log_?probs|log[ -]?prob(?:abilit|s\b)", re.I),
}
_CALLERS_OWN = re.compile(
    r"invalid schema|invalid.{0,20}function.{0,20}parameters|in context=|is not of type"
    r"|additionalProperties|missing required|tool_call_id|must be (?:a response to|followed by)"
    r"|tools?(?:\[\d|\.\d| -> \d|/\d)|\.tool_calls|with '?tool_calls|json_schema\.\w"
    r"|match(?:es)? (?:the )?pattern"
    r"|(?:string|array) (?:is )?too (?:long|short)|unique|duplicate"
    r"|unsupported value.{0,20}tool_choice"
    r"|parallel_tool_calls|tool_choice.{0,20}required|required.{0,20}tool_choice"
    r"|unsupported image|invalid[_ ]image|image[_ ]?format|following formats"
    r"|image.{0,30}(?:too (?:large|small|big|many)|corrupt|malformed|damaged|decode|download)"
    r"|(?:decode|download).{0,20}image",
    re.IGNORECASE,
)
"""The refusal is about this request's schema or messages, not about such requests in general."""
_ONE_FORM = re.compile(
    r"\b(?:image|audio|video|application|text)/(?!image|audio|video|text|vision)[a-z*]"
    r"|\b(?:file|image|audio|media|document|mime)[_ ]?(?:type|format|extension|codec)s?\b"
    r"|base64|\bdata[ -]ur[il]|\burls\b"
    r"|multiple|more than|greater than|less than|exceed|at most|up to|too many"
    r"|only (?:one|a single|\d)|maximum|parallel"
    r"|keyword|schema (?:contains|features?|conversion)"
    r"|together|combin|in conjunction|at the same time|simultaneous|thinking"
    r"|(?:with|when|while|without) (?:stream|tools?\b|json|response|function|system|reasoning)"
    r"|system (?:prompt|message|role)",
    re.IGNORECASE,
)
"""The refusal is about one form, one value or one combination: a GIF, a second picture, `required`
tools beside thoughts. The model may still be asked for the rest."""
_QUOTED = re.compile(r"\b(?:data:|https?://)\S+")
_CHOICE = re.compile(r"tool[_ ]choice", re.IGNORECASE)


def refused_capability(status: int, body: bytes, sent: dict[str, object]) -> Capability | None:
    """The capability that a refusal of this request names; only one that the request uses can be
    meant."""
    if status not in _STATUSES:
        return None
    reply = error_in_body(body) or ErrorReply(body.decode("utf-8", "replace"), frozenset(), "")
    said = _QUOTED.sub(" ", f"{reply.param} {reply.words}")
    if _CALLERS_OWN.search(said) or _ONE_FORM.search(said):
        return None
    if not (_CANNOT.search(said) or "unsupported" in str(reply.codes)):
        return None
    if sent.get("tool_choice") not in (None, "auto", "none"):
        said = _CHOICE.sub(" ", said)  # how tools are to be used is not whether
    return next((asked for asked in asked_of(sent) if _ABOUT[asked].search(said)), None)


def asked_of(sent: Mapping[str, object]) -> list[Capability]:
    """The capabilities that a request's body needs."""
    asked: list[Capability] = ["tools"] if sent.get("tools") else []
    given, messages = sent.get("response_format"), sent.get("messages")
    form = given.get("type") if isinstance(given, Mapping) else None
    asked += ["json_schema"] if form == "json_schema" else []
    asked += ["json_object"] if form == "json_object" else []
    parts = {
        part.get("type")
        for message in (messages if isinstance(messages, list) else ())
        if isinstance(message.get("content"), list)
        for part in message["content"]
    }
    asked += ["images"] if "image_url" in parts else []
    asked += ["audio"] if "input_audio" in parts else []
    asked += ["files"] if "file" in parts else []
    return asked + (["logprobs"] if sent.get("logprobs") else [])

"""Makes text from outside safe to show: no secrets, no control characters.

Everything passes through here once it is complete: each line of the process's log, each error of a
host, and each terminal line that repeats a model, a prompt, a document or an upstream.
"""

from __future__ import annotations

import json
import re

MASK = "[key]"

_START = r"(?:\b|(?<=\\[bfnrt])|(?<=\\x[0-9a-f]{2})|(?<=\\u[0-9a-f]{4})|(?<=[\d;\[]m))"
"""Where a key may begin: at a word, after an escape (`\\n` in JSON ends in a letter), or after a
colour sequence."""
_KEY_LIKE = re.compile(
    _START + r"(?:"
    r"(?:sk|pk|rk|gsk|hf|tgp|nvapi|fw|csk|xai|r8|pplx|ghp|gho|glpat|pypi)[-_][A-Za-z0-9*_.\-]{6,}"
    r"|AIza[\w\-]{20,}|AQ\.[\w\-]{16,}"  # Google
    r"|LLM\|[\w|\-]{8,}"  # Meta
    r"|[0-9a-f]{64}\b"  # Together
    r"|AKIA[A-Z0-9]{16}\b"
    r"|eyJ[\w\-]+\.[\w\-]+\.[\w\-]+)"
    r"|(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9._~+/=\-]{6,}"
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"
)
_NAMED = re.compile(
    r"(?i)((?:api[-_]?key|authorization|password|passwd|secret|access[-_]token)[\\\"']*\s*[:=]\s*"
    r"[\\\"']*)(?!bearer|basic)(?=[^\s\"'\\,;&)}\]]*\d)[^\s\"'\\,;&)}\]]{6,}"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_FORGING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Other characters that move the rest of a line elsewhere."""

SHORTEST = 8
PLAIN_WORD = 16
"""Up to this length, a secret made of letters alone may be an ordinary word."""

_secrets: set[str] = set()


def keep_secret(secret: str) -> None:
    """Redact this secret from now on, in its escaped forms too.

    A secret that is too short or an ordinary word is not registered: it would redact ordinary text.
    """
    if len(secret) < SHORTEST or (secret.isalpha() and len(secret) < PLAIN_WORD):
        return
    _secrets.update((secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]))


def redact(text: str, *secrets: str | None, mask: str = MASK) -> str:
    """The text without the given secrets, the registered ones, and anything that looks like a
    key."""
    for secret in sorted({*filter(None, secrets), *_secrets}, key=len, reverse=True):
        text = text.replace(secret, mask)
    text = _KEY_LIKE.sub(mask, text)
    return _NAMED.sub(lambda found: found[1] + mask, text)


def printable(text: str) -> str:
    """The text without control characters except tabs and newlines, which terminals would obey."""
    return _CONTROL.sub("", text)


def log_line(text: str) -> str:
    """A complete log line: redacted, with everything that is not text escaped."""
    return _FORGING.sub(_escaped, redact(text, mask="***"))


def json_text(text: str) -> str:
    """Complete JSON that is safe on a terminal: control characters beyond ASCII become JSON
    escapes."""
    return _CONTROL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"

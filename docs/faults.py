"""Writes docs/faults.md from the wall's catalogue: `python -m docs.faults` (`--check` only compares)."""

# ruff: noqa: E501 -- rows of a table are as long as they are

from __future__ import annotations

import sys
from pathlib import Path

from tests.wall.catalogue import SECTIONS
from tests.wall.replies import Case

PAGE = Path(__file__).parent / "faults.md"

HEAD = """# What a caller sees when a provider misbehaves

Made by `python -m docs.faults`.

## In time

The preferred provider shows the fault on every call; a healthy fallback stands behind it. Each row
is a test (`tests/test_faults.py`), whole and as a live stream. "At once" is the time that the
fallback needs; a live caller who has been shown text gets it continued, or an error event where the
continuation cannot be joined to it (docs/race.md); every other caller gets it replaced.

| fault | what the caller sees | after | error in the log | calls to it, at most |
|---|---|---|---|---|
| 429 with Retry-After | the fallback's answer; not called again before its time, and in the same request only if that is within a second and nothing was shown yet | at once | `rate_limited` | 1, else 2 |
| 429 without | the fallback's answer | at once | `rate_limited` | 1 |
| one 500, then healthy | its answer, from the second call | its own time | `server`, then ok | 2 |
| lasting 500 or 503 | the fallback's answer | at once | `server` | 2 |
| connection reset before the headers | the fallback's answer | at once | `connection` | 2 |
| accepted and never answered | the fallback's answer | `ttft_s` | `timeout` | 1 |
| headers at once, first token after 20 s | the fallback's answer; its own amends the chat | `ttft_s` | `timeout`, then `late` | 1 |
| cut after 40 of 60 tokens (reset, closed, or ended without its end mark) | the fallback's answer, or its continuation | at once | `connection` | 2 |
| silent after 20 tokens | the fallback's answer, or its continuation | `stall_s` | `timeout` | 1 |
| one malformed event in the middle | the fallback's answer, or its continuation | at once | `bad_reply` | 1 |
| an error event in the middle | the fallback's answer, or its continuation | at once | `server` | 2 |
| whole, without `[DONE]` or without `finish_reason` | its answer | its own time | – | 1 |
| usage missing | its answer, the cost estimated and marked | its own time | – | 1 |
| context length exceeded | the fallback's answer | at once | `context_length` | 1 |
| content filter | the provider's rejection; the fallback's answer with `content_filter: fallback` | at once | `content_filter` | 1 |
| wrong key | the fallback's answer; the breaker opens | at once | `auth` | 1 |
| model not found | the fallback's answer; the breaker opens | at once | `not_found` | 1 |
| empty answer | the fallback's answer | at once | `bad_reply` | 1 |
| repeats itself endlessly | the fallback's answer | once detected | `bad_reply` | 1 |
| 10 MB in one answer | the fallback's answer | at once | `bad_reply` | 1 |
| an HTML page | the fallback's answer | at once | `bad_reply` | 1 |
| a stream under the wrong content type | its answer | its own time | – | 1 |
| one token a second | the fallback's answer where `stall_s` is below a second, else its own | `stall_s` | `timeout` | 1 |
| rejects `stream_options` | its answer, called again without them | its own time | – | 2 |
| down for a while, then healthy | the fallback's answers; then its own again | at once | `server` | bounded by the breaker |
| the fallback rejects an assistant prefill | nothing: a continuation is requested by instruction | – | – | – |
| both fail | the best passages if retrieval is confident, else one error with each provider's error | at once | each one's own | 3 and 1 |
| both hang | the same | `deadline_s` | `timeout` | 1 and 1 |

The sixteen scenarios of FailoverBench, rebuilt from its public catalogue, are in
`tests/wall/test_failoverbench.py`.

## In the reply

Each row is a reply of the preferred provider (`tests/wall/catalogue.py`), tested at the reader
alone, and with a caller in process and over HTTP, whole and live. *Its answer*: exactly the text
that it sent, once, with a finish reason and `[DONE]`. *Replaced*: the attempt failed; a caller who
saw no text gets the fallback's whole answer, a live caller who saw some gets it continued, or one
error event. Unknown finish reasons are named in `/health`; `hosts.NAME.finish_reasons` maps them to
known ones. Errors of kind `bad_request`, `context_length` and `content_filter` count for no
breaker, ranking or trial.
"""


def page() -> str:
    parts = [HEAD.rstrip()]
    for title, cases in SECTIONS.items():
        rows = "\n".join(_row(case) for case in cases)
        parts.append(
            f"### {title}\n\n| the reply | the caller gets | in the log | reported |\n|---|---|---|---|\n{rows}"
        )
    return "\n\n".join(parts) + "\n"


def _row(case: Case) -> str:
    return f"| {case.name} | {_gets(case)} | {_logged(case)} | {case.seen} |"


def _gets(case: Case) -> str:
    if case.error == "content_filter":
        return "the provider's rejection, or replaced with `content_filter: fallback`"
    if case.says is None:
        return "replaced"
    ends = "" if case.finish == "stop" else f", finish_reason `{case.finish}`"
    thoughts = ", reasoning separate" if case.reasoning else ""
    return f"its answer{ends}{thoughts}"


def _logged(case: Case) -> str:
    if case.error is None:
        counted = "counted" if case.usage else "estimated"
        return f"ok, tokens {counted}"
    wait = f"; not called for {case.wait_s:g} s" if case.wait_s else ""
    opened = "; the breaker opens" if case.breaker == "open" and not case.wait_s else ""
    return f"`{case.error}`{wait}{opened}"


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

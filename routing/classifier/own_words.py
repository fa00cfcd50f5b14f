"""Extracts the user's own words from what agent programs send.

Editors and agents wrap the prompt in reminders, tool results, attached files and editor state. The
model should read all of that, but it says nothing about the user's task, so the classifier must not
see it. Programs are recognised by their markers: tags, headings and fences; the text between them
is dropped whatever it is. Linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

_MARKS = re.compile(
    r"</[A-Za-z]|^```(?:\w+ )?\S*[./]\S|^#{1,4} |\[END CONTEXT|^--- |^\[[^\]\n]{1,200}\] Result:"
    r"|^-{5,}$|^(?:user )?(?:question|query)\s*:|^(?:observation|called the |tool result)"
    r"|\*(?:added these files|read[- ]only)|^<[|\w]",
    re.IGNORECASE | re.MULTILINE,
)
"""A text without any of these is entirely the user's own."""
_TAG = re.compile(r"<(/?)([A-Za-z][\w.:-]{0,60})(?:\s[^<>]{0,400})?>")

_REQUEST = re.compile(
    r"user(?:query|request|message|input|prompt|question|task)|(?:current)?request|query|question"
    r"|task|feedback|prompt|instruction|issuedescription"
)
"""Tags, in lower case without `_` and `-`, around what the user typed."""
_CONTEXT = re.compile(
    r"(?:.*(?:reminder|context|info|information|metadata|instructions|rules|attachments?"
    r"|attachedfiles?|filecontents?|documents?|results?|stdout|stderr|observations?|selection"
    r"|layout|tabs|memory|memories|environment|history|guidelines|notes?msg|infomsg|opentabs"
    r"|viewedfiles|openfiles|lint(?:er)?errors|diagnostics|snippets?|structure|summary|caveat)"
    r"|(?:environment|editor|system|workspace|project|repo(?:sitory)?|git|terminal|additional"
    r"|recent|current|open|attached|uploaded|referenced|tool|function|command|bash|local"
    r"|cursor|session|available)\w+"
    r"|files?|excerpts?|thinking|currentfile|rule|skills?|todos?|diff)"
)
"""Tags of the same form around what the program adds."""
_PAGE = re.compile("summary|details|data|output|source|object|caption|label|section")
"""HTML tags, which a user may ask about."""

_HEADING = re.compile(
    r"^#{1,4} *(?:my |the |user'?s? |current )?(?:request|query|question|task|message|prompt)"
    r"(?: for [\w .-]{1,30})?:?[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_LABEL = re.compile(
    r"^(?:(?:user |the |my )?(?:question|query|request|instruction)|user)\s*:[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_PASSAGES = re.compile(
    r"\b(?:contexts?|documents?|passages?|excerpts?|sources?|information below|search results)\b",
    re.IGNORECASE,
)
_ANSWER = re.compile(r"^(?:[\w ]{0,20})answer\s*:.*\Z", re.IGNORECASE | re.MULTILINE | re.DOTALL)
_SECTIONS = (
    (re.compile(r"^\[CONTEXT \d+\]", re.MULTILINE), re.compile(r"\[END CONTEXT \d+\]")),
    (
        re.compile(r"^-{3} (?:content|begin|start)\b[^\n]*-{3}[ \t]*$", re.I | re.MULTILINE),
        re.compile(r"^-{3} end\b[^\n]*-{3}[ \t]*$", re.I | re.MULTILINE),
    ),
    (
        re.compile(r"^```(?:\w+:|\w+ )?[^\s`]*[./][^\n`]*$", re.MULTILINE),
        re.compile(r"^```[ \t]*$", re.MULTILINE),
    ),
)
"""Text between two such lines was attached: passages, files, fences that name a path."""
_NOT_THE_USER = re.compile(
    r"\s*(?:\[[^\]\n]{1,200}\] Result:|observations?:|tool (?:result|output|response)s?\b"
    r"|called the \w+ tool|i have \*?added these files|here are summaries of some files"
    r"|here are some \*?read[- ]only|this is the [\w ]{1,30}\. we are setting up"
    r"|\[(?:error|request interrupted)|caveat: )",
    re.IGNORECASE,
)
"""The beginnings of messages that a program wrote in the user's name."""
_TASK = re.compile(
    r"^(?:new task|your task|task|here is (?:your|the) task):\s*", re.I | re.MULTILINE
)


def own_words(text: str) -> str:
    """The part of this message that the user typed; empty if a program wrote all of it."""
    if not _MARKS.search(text) and not _NOT_THE_USER.match(text):
        return _without_label(text)
    spans = list(_spans(text))
    asked = [text[begin:end] for kind, _, begin, end, _ in spans if kind == "request"]
    if asked:
        return own_words(asked[-1]).strip()
    kept, at = [], 0
    for _, outer, _, _, after in spans:
        kept.append(text[at:outer])
        at = after
    rest = _without_sections("".join([*kept, text[at:]]))
    if _NOT_THE_USER.match(rest):
        return ""
    headings = list(_HEADING.finditer(rest))
    if headings and rest[headings[-1].end() :].strip():
        return rest[headings[-1].end() :].strip()
    return _after_passages(rest) or _without_label(rest.strip())


def conversation(
    turns: Sequence[tuple[str, str]],
) -> tuple[str, list[Mapping[str, str]]]:
    """The prompt and the turns before it for the classifier, from `(role, text)` pairs.

    The prompt is the last message with words of the user, so that it stays the same throughout an
    agent's tool loop; if there is none, the last text of all, whoever wrote it.
    """
    own = [(role, own_words(text) if role == "user" else text) for role, text in turns]
    for place in range(len(own) - 1, -1, -1):
        role, text = own[place]
        if role == "user" and text.strip():
            before = [
                {"role": r, "content": t}
                for r, t in own[:place]
                if r in ("user", "assistant") and t.strip()
            ]
            return text, list(before)
    users = [text for role, text in turns if role == "user" and text.strip()]
    texts = users or [text for _, text in turns if text.strip()]
    return (texts[-1] if texts else ""), []


Span = tuple[str, int, int, int, int]
"""Kind, start and end of the opening tag, start and end of the closing tag."""


def _spans(text: str) -> Iterator[Span]:
    """The outermost blocks in known tags, each of them closed; in order."""
    tags = list(_TAG.finditer(text))
    last_close = {t[2].lower(): t.start() for t in tags if t[1]}
    kind, name, depth, opened = "", "", 0, tags[0] if tags else None
    for tag in tags:
        this = tag[2].lower()
        if depth and this == name:
            depth += -1 if tag[1] else 1
            if depth == 0 and opened is not None:
                yield kind, opened.start(), opened.end(), tag.start(), tag.end()
        elif not depth and not tag[1] and last_close.get(this, -1) > tag.start():
            kind = _kind(this)
            if kind:
                name, depth, opened = this, 1, tag


def _kind(tag: str) -> str:
    plain = tag.replace("_", "").replace("-", "")
    if _REQUEST.fullmatch(plain):
        return "request"
    return "context" if not _PAGE.fullmatch(plain) and _CONTEXT.fullmatch(plain) else ""


def _without_sections(text: str) -> str:
    for opening, closing in _SECTIONS:
        kept, at = [], 0
        while (begin := opening.search(text, at)) and (end := closing.search(text, begin.end())):
            kept.append(text[at : begin.start()])
            at = end.end()
        text = "".join([*kept, text[at:]])
    return text


def _after_passages(text: str) -> str:
    """The question at the end of a retrieval prompt."""
    labels = list(_LABEL.finditer(text))
    if not labels or not _PASSAGES.search(text[: labels[-1].start()]):
        return ""
    return _ANSWER.sub("", text[labels[-1].end() :]).strip()


def _without_label(text: str) -> str:
    found = _TASK.match(text)
    return text[found.end() :] if found and text[found.end() :].strip() else text

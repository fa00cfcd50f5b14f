"""Pictures and text files that a reader gives a model with a prompt.

They come from the reader's own page as values of an event and are kept in its conversation: no
file is written, so none can be read by anybody else. Nothing of them is logged but, with
`log: {text: true}`, what the prompt itself says.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from weakref import WeakKeyDictionary

from config.errors import UsageError
from graph.router import Router
from providers.base import Message
from providers.messages import ImagePart, Part, TextPart
from ui.wording import say

MOST_PICTURE = 600_000
"""Bytes of one picture; the page makes larger ones smaller before it sends them."""
MOST_CHARS = 100_000
"""Characters of one text file: some 25,000 tokens."""
MOST_FILES = 8
"""Files that go with one prompt."""
MOST_IN_ALL = 16_000_000
"""Characters that the files of one conversation take in memory, pictures in base64."""
MOST_EVERYWHERE = 512_000_000
"""Characters that the files of all conversations take."""

_BEGINNINGS = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
PICTURES = tuple(_BEGINNINGS)
TEXTS = (
    *(".txt", ".md", ".markdown", ".csv", ".tsv", ".json", ".jsonl", ".yaml", ".yml", ".toml"),
    *(".xml", ".html", ".css", ".js", ".mjs", ".ts", ".tsx", ".jsx", ".py", ".ipynb", ".java"),
    *(".c", ".h", ".cpp", ".hpp", ".cs", ".go", ".rs", ".rb", ".php", ".swift", ".kt", ".scala"),
    *(".sh", ".sql", ".r", ".lua", ".ini", ".cfg", ".conf", ".log", ".tex", ".rst", ".diff"),
)
_ID = re.compile(r"[0-9a-f]{32}")
_THUMB = re.compile(r"(?:data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/]{1,12000}={0,2})?")
_UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
NO_NAME = "a file"
KINDS = say("attached.pictures_png_jpeg")
FULL = say("attached.this_conversation_cannot")
BLIND = say("attached.none_of_the")


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file. `data` is the text, or a picture's bytes in base64; empty where it is not here.

    `thumb` is a small picture of it as a data address; `size` counts bytes, or characters of a
    text.
    """

    id: str
    name: str
    type: str
    size: int
    data: str = ""
    thumb: str = ""

    @property
    def is_picture(self) -> bool:
        return self.type in PICTURES

    def label(self) -> dict[str, object]:
        """As the page shows and keeps it, without its content."""
        names = ("id", "name", "type", "size", "thumb")
        return {name: getattr(self, name) for name in names}


def labelled(given: Mapping[str, object]) -> Attachment:
    """A file by its label alone, as a browser kept it; UsageError for what is none."""
    size, kind = str(given.get("size")), str(given.get("type"))
    found = Attachment(
        id=str(given.get("id")),
        name=_name(given.get("name")),
        type=kind if kind in PICTURES else "text/plain",
        size=int(size) if size.isascii() and size.isdigit() and len(size) < 12 else 0,
        thumb=str(given.get("thumb") or ""),
    )
    if not (_ID.fullmatch(found.id) and _THUMB.fullmatch(found.thumb)):
        raise UsageError(say("attached.this_file_cannot"), "id")
    return found


def received(given: Mapping[str, object]) -> Attachment:
    """A file with its content, as the page sent it; UsageError says why it is not taken."""
    found, data = labelled(given), str(given.get("data") or "")
    if given.get("problem") == "unreadable":
        raise UsageError(say("attached.cannot_be_read", name=found.name), "data")
    if given.get("problem") == "unknown":
        raise UsageError(say("attached.cannot_be_attached", name=found.name, kinds=KINDS), "data")
    if found.is_picture:
        return _picture(found, data)
    return _text(found, data)


def _picture(found: Attachment, data: str) -> Attachment:
    try:
        content = base64.b64decode(data, validate=True)
    except binascii.Error:
        content = b""
    if len(content) > MOST_PICTURE:
        most = f"{MOST_PICTURE // 1000} kB"
        raise UsageError(say("attached.is_too_large", name=found.name, most=most), "data")
    if not _BEGINNINGS[found.type].match(content):
        raise UsageError(say("attached.cannot_be_read", name=found.name), "data")
    return Attachment(found.id, found.name, found.type, len(content), data, found.thumb)


def _text(found: Attachment, data: str) -> Attachment:
    size = max(found.size, len(data))
    if size > MOST_CHARS:
        raise UsageError(
            say(
                "attached.is_too_long",
                name=found.name,
                size=f"{size:,}",
                most_chars=f"{MOST_CHARS:,}",
            ),
            "data",
        )
    if "\x00" in data:
        raise UsageError(say("attached.cannot_be_attached_it", name=found.name), "data")
    if not data.strip():
        raise UsageError(say("attached.is_empty", name=found.name), "data")
    return Attachment(found.id, found.name, "text/plain", len(data), data)


def _name(given: object) -> str:
    """The last part of a path, on one line: a file's name is shown, and is never a place."""
    last = re.split(r"[/\\]", str(given or ""))[-1]
    return _UNPRINTED.sub("", last).strip()[:120] or NO_NAME


def content(prompt: str, files: Sequence[Attachment]) -> str | list[Part]:
    """What a model is given: the prompt, text files behind it, and pictures as parts of OpenAI's.

    A file whose content is gone is named only.
    """
    written = "\n\n".join([prompt, *(_written(one) for one in files if not _shown(one))])
    pictures = [_part(one) for one in files if _shown(one)]
    return [TextPart(type="text", text=written), *pictures] if pictures else written


def _shown(one: Attachment) -> bool:
    return one.is_picture and bool(one.data)


def _part(one: Attachment) -> ImagePart:
    return ImagePart(type="image_url", image_url={"url": f"data:{one.type};base64,{one.data}"})


def _written(one: Attachment) -> str:
    """In a tag that the file itself cannot close; the classifier knows such tags."""
    if not one.data:
        return say(
            "attached.not_here_any", file="a picture" if one.is_picture else "a file", name=one.name
        )
    tag, number = "attached_file", 1
    while f"</{tag}" in one.data:
        number += 1
        tag = f"attached_file_{number}"
    name = one.name.translate({ord('"'): "'", ord("<"): "(", ord(">"): ")"})
    return f'<{tag} name="{name}">\n{one.data}\n</{tag}>'


def asked(prompt: str, files: Sequence[Attachment]) -> Message:
    """The turn of a reader, as the router takes it."""
    return Message(role="user", content=content(prompt, files))


def barred(router: Router, files: Collection[Attachment]) -> str | None:
    """One sentence where a picture is among the files and no enabled model can take it."""
    if not any(one.is_picture for one in files):
        return None
    settings, routing = router.settings, router.services.routing
    names = {name for category in settings.categories for name in settings.order(category)}
    names.add(settings.fallback.provider)
    enabled = [name for name in names if settings.enabled(name)]
    seeing = any(routing.lacks(name, ("images",)) is None for name in enabled)
    return None if seeing else BLIND


def without_content(files: Iterable[Attachment]) -> list[Attachment]:
    """The files as they are when their content is gone; a browser has it still."""
    return [replace(one, data="") for one in files]


class Holder(Protocol):
    """A conversation, as far as it holds files."""

    def held_chars(self) -> int: ...

    def let_go(self) -> None:
        """Forget the files' content."""


class HeldFiles:
    """Which conversations hold files; past the bound, the ones that took theirs longest ago lose
    the content, which their pages send once more."""

    def __init__(self, most_chars: int = MOST_EVERYWHERE) -> None:
        self._most = most_chars
        self._held: WeakKeyDictionary[Holder, int] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def took(self, holder: Holder) -> None:
        """This conversation has just taken a file."""
        with self._lock:
            self._held.pop(holder, None)
            self._held[holder] = holder.held_chars()
            over = sum(self._held.values()) - self._most
            for oldest in list(self._held):
                if over <= 0 or oldest is holder:
                    break
                over -= self._held.pop(oldest)
                oldest.let_go()

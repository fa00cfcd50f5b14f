"""What the command line writes: no control characters from models, prompts, documents or hosts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.console import Console
from rich.segment import Segment

from config.redaction import printable, redact


class Terminal(Console):
    """Rich's console; the only escape sequences are its own."""

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(
            one if one.control else one._replace(text=printable(one.text)) for one in buffer
        )


class _Stream:
    """A text stream of which each write is cleaned first; everything else is the stream's own."""

    def __init__(self, stream: TextIO, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self.rich_proxied_file = stream
        """Where Rich writes past this, by its own convention."""

    def write(self, text: str) -> int:
        self.rich_proxied_file.write(self._clean(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


@contextmanager
def clean_streams() -> Iterator[None]:
    """Until the end of the block, whoever prints prints text alone, and on stderr without keys:
    other people's tracebacks too."""
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, _Stream(before[0], printable))
    sys.stderr = cast(TextIO, _Stream(before[1], lambda text: printable(redact(text))))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before

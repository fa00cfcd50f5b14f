"""The process's own log: one line an event on stderr, for people or as JSON, without keys."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

_KEYS = re.compile(
    r"(?i)\b(sk-|gsk_|hf_|xai-|r8_|tgp_)[A-Za-z0-9_\-]{6,}|(?<=bearer )[A-Za-z0-9._\-]{6,}"
)


def configure(*, json: bool = False, level: str = "INFO") -> None:
    """Set up structlog and the standard library's loggers alike; call once at start."""
    shared: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    if json:
        last: list[structlog.types.Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        colors = sys.stderr.isatty()
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=_Stderr(),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    # On the handler too: a library that sets its own logger to DEBUG would pass the root's level.
    handler.setLevel(max(logging.getLevelName(level), logging.WARNING))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.getLevelName(level), logging.WARNING))


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Whatever looks like a key is blotted out, wherever it comes from."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _KEYS.sub("***", value)
    return event


class _Stderr:
    """Loggers that find `sys.stderr` when they write, so that redirection works.

    One wrapper for each file, since structlog keeps a lock for each: with two of them the lines of
    two threads would mix.
    """

    def __init__(self) -> None:
        self._lossy = _Lossy(sys.stderr)

    def __call__(self, *_: Any) -> Any:
        if self._lossy.file is not sys.stderr:
            self._lossy = _Lossy(sys.stderr)
        return structlog.PrintLogger(file=cast(TextIO, self._lossy))


class _Lossy(io.TextIOBase):
    """Drops what cannot be written: a full disk under the log must not cost an answer."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self.file.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self.file.flush()

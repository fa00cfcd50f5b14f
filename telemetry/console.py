"""What the process writes to its terminal, without keys and control characters: its own log as one
line an event on stderr, and what the command line prints."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

import structlog
from rich.console import Console
from rich.segment import Segment

from config.errors import ConfigError, NotFoundError, RouterError, UsageError
from config.redaction import log_line, printable, redact


def configure(*, json: bool = False, level: str = "INFO") -> None:
    """Set up structlog and the standard library's loggers alike; call once at start."""
    shared: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if json:
        last: list[structlog.types.Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        plain = structlog.dev.plain_traceback
        # Without colours: in a line that may repeat a stranger, no escape sequence is ours.
        last = [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, *last, _finish],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=_Stderr(),
        cache_logger_on_first_use=False,
    )
    formatter = _Finished(
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


def _finish(_logger: object, _method: str, line: object) -> str:
    return log_line(str(line))


class _Finished(structlog.stdlib.ProcessorFormatter):
    """Lines of the standard library's loggers, redacted when nothing is added to them any more."""

    def format(self, record: logging.LogRecord) -> str:
        return log_line(super().format(record))


class _Stderr:
    """Loggers that find `sys.stderr` when they write, so that redirection works.

    One wrapper for each file, since structlog keeps a lock for each: with two of them the lines of
    two threads would mix.
    """

    def __init__(self) -> None:
        self._lossy = _Lossy(sys.stderr)

    def __call__(self, *_: object) -> structlog.PrintLogger:
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

    def __getattr__(self, name: str) -> object:
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


def exit_code(command: Callable[[], int]) -> int:
    """Run it; each expected error is one line on stderr and an exit code."""
    try:
        return command()
    except (ConfigError, UsageError, NotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RouterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0

"""What the process writes to its terminal, without secrets and control characters: its own log, one
line for each event on stderr, and the command line's output."""

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
        # Without colours: in a line that may repeat untrusted text, no escape sequence is ours.
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
    # On the handler too: a library that sets its own logger to DEBUG would bypass the root's level.
    handler.setLevel(max(logging.getLevelName(level), logging.WARNING))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.getLevelName(level), logging.WARNING))


def _finish(_logger: object, _method: str, line: object) -> str:
    return log_line(str(line))


class _Finished(structlog.stdlib.ProcessorFormatter):
    """Formats the standard library's log records and redacts the complete line."""

    def format(self, record: logging.LogRecord) -> str:
        return log_line(super().format(record))


class _Stderr:
    """Loggers that look up `sys.stderr` on each write, so that redirection works.

    One wrapper for each stream, since structlog has a lock for each wrapper: with two of them the
    lines of two threads would mix.
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
    """Rich's console, in which only its own escape sequences reach the terminal."""

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(
            one if one.control else one._replace(text=printable(one.text)) for one in buffer
        )


class _Stream:
    """A text stream that cleans every write first; everything else is delegated."""

    def __init__(self, stream: TextIO, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self.rich_proxied_file = stream
        """Rich writes past this wrapper to the stream it finds here, by its own convention."""

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
    """Within the block, everything printed is cleaned of control characters, and on stderr of
    secrets as well, including third-party tracebacks."""
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, _Stream(before[0], printable))
    sys.stderr = cast(TextIO, _Stream(before[1], lambda text: printable(redact(text))))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def exit_code(command: Callable[[], int]) -> int:
    """Run `main`; an expected error becomes one line on stderr and an exit code."""
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

"""Writes a key into `.env`: atomically, readable by its owner alone, every other line as it was."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from config.addresses import bound_variable, check_key_variable, origin
from config.errors import ConfigError, UsageError
from config.journal import sync_folder

MODE = 0o600
SHORTEST, LONGEST = 8, 4096
LOCK_WAIT_S = 10.0
_BARE = re.compile(r"[A-Za-z0-9_./:+=@|~-]+")
_BOM = "\ufeff"


def check_key(key: str) -> str:
    """The key without the spaces around it; raises UsageError, without the key, if it is none."""
    key = key.strip()
    if not SHORTEST <= len(key) <= LONGEST:
        raise UsageError(f"a key has {SHORTEST} to {LONGEST} characters; paste it whole", "key")
    if not (key.isascii() and key.isprintable()) or re.search(r"[\s'\"\\]", key):
        raise UsageError("a key has no spaces, quotes or accented letters; paste it alone", "key")
    return key


def write_key(path: Path, data_dir: Path, variable: str, key: str, url: str) -> None:
    """Set `variable` to the key, and beside it the origin of `url`, for which alone it is given.

    Raises UsageError for what is no key or no key's variable, ConfigError if the file cannot be
    written; then it is as it was. No message contains a key.
    """
    check_key_variable(variable)
    values = {variable: check_key(key), bound_variable(variable): origin(url)}
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(data_dir / "env.lock", timeout=LOCK_WAIT_S):
            _rewrite(path, values)
    except Timeout:
        raise ConfigError(f"{path}: another process is writing it; try again") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"{path}: cannot be written ({reason}); put the key into it by hand"
        ) from None


def _rewrite(path: Path, values: Mapping[str, str]) -> None:
    if path.is_symlink():
        raise ConfigError(f"{path} is a symbolic link: put the key into {path.resolve()} by hand")
    before = path.read_bytes().decode() if path.exists() else ""
    after = with_values(before, values)
    _check(path, before, after, values)
    _replace(path, after)


def with_values(text: str, values: Mapping[str, str]) -> str:
    """The text of a `.env` file in which each of these variables has one line."""
    bom, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    newline = "\r\n" if "\r\n" in text else "\n"
    left = dict(values)
    kept = []
    for key, original in _bindings(text):
        if key not in values:
            kept.append(original)
        elif key in left:
            kept.append(_line(original, key, left.pop(key), newline))
    body = "".join(kept)
    if left and body and not body.endswith("\n"):
        body += newline
    return bom + body + "".join(f"{k}={_quoted(v)}{newline}" for k, v in left.items())


def _line(original: str, key: str, value: str, newline: str) -> str:
    """A variable's line with another value; blank lines, and comments above and behind it, stay."""
    above = re.match(r"(?:[ \t]*(?:#[^\n]*)?\r?\n)*", original)
    behind = re.search(r"[ \t]+#[^\r\n]*(?=[\r\n]*$)", original)
    if behind and _values(original[: behind.start()]) != _values(original):
        behind = None  # a part of a quoted value
    comment = behind[0] if behind else ""
    return f"{above[0] if above else ''}{key}={_quoted(value)}{comment}{newline}"


def _bindings(text: str) -> list[tuple[str | None, str]]:
    from io import StringIO

    from dotenv.parser import parse_stream

    # A StringIO that leaves line ends alone; the parser knows all three.
    found = parse_stream(StringIO(text, newline=""))
    return [(one.key, one.original.string) for one in found]


def _quoted(value: str) -> str:
    return value if _BARE.fullmatch(value) else f"'{value}'"


def _values(text: str) -> dict[str, str | None]:
    from io import StringIO

    from dotenv.parser import parse_stream

    found = parse_stream(StringIO(text.removeprefix(_BOM), newline=""))
    return {one.key: one.value for one in found if one.key}


def _check(path: Path, before: str, after: str, values: Mapping[str, str]) -> None:
    """A file that would read as anything but the wanted change is not written."""
    if _values(after) != {**_values(before), **values}:
        raise ConfigError(f"{path}: has lines that cannot be kept; put the key into it by hand")


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".env.{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            with suppress(PermissionError):
                owner = path.stat()
                os.chown(temporary, owner.st_uid, owner.st_gid)
        os.replace(temporary, path)
        sync_folder(path.absolute().parent)
    finally:
        temporary.unlink(missing_ok=True)

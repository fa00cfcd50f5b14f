"""One change to a configuration file, under its lock: all or nothing, valid, and journaled.

The steps are: lock, read, edit the text in place, validate a temporary copy with the loader, keep a
backup, record the change in the journal, write a file beside the original, fsync, replace, fsync
the folder. If the process is killed at any step, the file is either the old or the new one. The
journal has the hashes of both, so that `undo` knows which it is and detects a manual edit in
between.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict, TypeVar, cast

from filelock import FileLock, Timeout
from ruamel.yaml.error import YAMLError

from config.catalogue import CATALOGUE_FILE, load_catalogue
from config.errors import ConfigError
from config.journal import Change, Journal, sync_folder
from config.loader import load
from config.probe_sets import PROBES_FILE, load_made
from config.yaml_splice import plain

T = TypeVar("T")

LOCK_WAIT_S = 10.0
Step = Callable[[str], None]
"""Called with the name of each completed step; tests kill the process there."""


class Entries(TypedDict):
    """The part of `providers.yaml` that the application changes."""

    hosts: dict[str, dict[str, object]]
    providers: list[dict[str, object]]
    priorities: dict[str, list[str]]


Edit = Callable[[str, Entries], str]
"""Receives the text and its values; changes the values and returns the text that says the same."""


PROVIDERS = "providers.yaml"
CHANGES = ".changes"
"""The lock, the journal and the backups lie beside the files: replicas that share one share all."""
WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def check_writable(path: Path) -> None:
    """Raise ConfigError if the application can read a configuration but not edit it."""
    folder = path.parent
    if not folder.stat().st_mode & WRITE or not os.access(folder, os.W_OK):
        raise ConfigError(
            f"{folder} is read-only here: change {path.name} where it comes from (a ConfigMap, an"
            " image, a repository), and every replica reloads it"
        )


class Writer:
    """Changes one file of a configuration; see the module's docstring."""

    def __init__(
        self,
        config_dir: Path,
        data_dir: Path,
        step: Step,
        file: str = PROVIDERS,
        *,
        blank: bytes | None = None,
    ) -> None:
        """`blank` is what a file begins with that the first change makes."""
        self.blank = blank
        self.path = Path(config_dir) / file
        self.data_dir = Path(data_dir)
        self.backups = self.path.parent / CHANGES
        self.journal = Journal(self.backups)
        self.step = step

    def change(self, kind: str, subject: str, note: str, edit: Edit) -> Change:
        with self._locked():
            before = self._read()
            after = self._edited(before, edit)
            at = datetime.now(UTC)
            ident = f"{at:%Y%m%d-%H%M%S-%f}"
            backup = self.backups / f"{ident}-{self.path.name}"
            change = Change(
                id=ident,
                at=at.isoformat(timespec="seconds"),
                kind=kind,
                subject=subject,
                note=note,
                file=self.path.name,
                before=_sha256(before),
                after=_sha256(after),
                backup=backup.name,
            )
            if after == before:
                return change  # another process has already done it
            self._validate(after)
            self._write_new(backup, before)
            self.step("backed up")
            self.journal.note(change)
            self.step("journaled")
            if self.blank is not None and not self.path.exists():
                self._write_new(self.path, self.blank)
            self._replace(after, expected=change.before)
            return change

    def preview(self, edit: Edit) -> tuple[str, str]:
        """The file's text before and after a change that is valid, and that is not made."""
        with self._locked():
            before = self._read()
            after = self._edited(before, edit)
            self._validate(after)
        return before.decode(), after.decode()

    def undo(self) -> str:
        with self._locked():
            current = self._read()
            change = self.journal.last(self.path, _sha256(current))
            before = self.journal.backup(change)
            self._validate(before)
            self._replace(before, expected=change.after)
            self.journal.note_undone(change)
            self.step("noted")
        what = {
            "append": "the addition of",
            "remove": "the removal of",
            "trial": "the trial of",
            "refresh": "the refresh of",
            "set": "the change of",
            "probe": "the addition of the probe",
        }
        return (
            f"undid {what[change.kind]} `{change.subject}` of {change.at} ({change.note});"
            f" {self.path} is as it was before"
        )

    def latest(self) -> str:
        """The id of the most recent change to this file that was not undone; empty if there is
        none."""
        return self.journal.latest(self.path) if self.path.exists() else ""

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            check_writable(self.path)
            self.backups.mkdir(exist_ok=True)
            with FileLock(self.backups / "providers.lock", timeout=LOCK_WAIT_S):
                self.step("locked")
                yield
        except Timeout:
            raise ConfigError(
                f"{self.path}: another process is changing it; try again when it has finished"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"{error.filename or self.path}: cannot be written ({error.strerror}); give this"
                " user write permission there, or edit providers.yaml by hand"
            ) from error

    def _read(self) -> bytes:
        if self.path.is_symlink():
            raise ConfigError(
                f"{self.path} is a symbolic link to {self.path.resolve()}: name the folder of the"
                " real file with --config, or put a copy in the link's place"
            )
        if self.blank is not None and not self.path.exists():
            return self.blank
        if not self.path.stat().st_mode & WRITE:
            raise ConfigError(f"{self.path} is read-only: `chmod u+w {self.path}`, then try again")
        return self.path.read_bytes()

    def _edited(self, before: bytes, edit: Edit) -> bytes:
        """The new text; refused if its values differ from the old ones by more than the wanted
        change."""
        bom = b"\xef\xbb\xbf" if before.startswith(b"\xef\xbb\xbf") else b""
        by_hand = f"{self.path}: the application cannot edit this part"
        try:
            text = before.removeprefix(bom).decode()
            wanted = cast("Entries", _unshared(plain(text)))
            after = edit(text, wanted)
            if plain(after) != wanted:
                raise ConfigError(f"{by_hand} (a YAML alias or tag is in the way): write it out")
        except (LookupError, TypeError, AttributeError, YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{by_hand}: `--check` says what is wrong ({error})") from error
        self._check_keys(plain(text), wanted)
        self.step("edited")
        return bom + after.encode()

    def _check_keys(self, before: object, after: object) -> None:
        """No change of the application's sends a key that is there to another address: a host that
        is new or has another address has a key that must be given anew."""
        old, new = _hosts(before), _hosts(after)
        for name, host in new.items():
            changed = any(host.get(key) != old.get(name, {}).get(key) for key in _WHERE)
            if name in old and changed and (secret := _own_headers(host)):
                raise ConfigError(
                    f"{self.path}: nothing was changed, as host `{name}` sends {secret} of its own,"
                    " which may be a secret, with every request: change its address by hand"
                )
            if changed and host.get("api_key_env") and host.get("bound_key") is not True:
                raise ConfigError(
                    f"{self.path}: nothing was changed, as the key in {host['api_key_env']} was not"
                    f" given for the new address of host `{name}`"
                )

    def _validate(self, text: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for file in self.path.parent.glob("*.yaml"):
                if not file.name.startswith("."):
                    shutil.copy(file, folder)
            (Path(folder) / self.path.name).write_bytes(text)
            try:
                load(Path(folder), self.data_dir)
                if self.path.name == CATALOGUE_FILE:
                    load_catalogue(folder)
                if self.path.name == PROBES_FILE:
                    load_made(folder)
            except ConfigError as error:
                said = str(error).replace(folder, str(self.path.parent))
                raise ConfigError(
                    f"nothing was changed, as the result is not valid: {said}"
                ) from error
        self.step("validated")

    def _replace(self, text: bytes, expected: str) -> None:
        for stale in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            # left behind by a process that was killed here: holding the lock, nobody else writes it
            stale.unlink()
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            self._write_new(temporary, text)
            shutil.copymode(self.path, temporary)
            with suppress(PermissionError):
                owner = self.path.stat()
                os.chown(temporary, owner.st_uid, owner.st_gid)
            self.step("written")
            if _sha256(self.path.read_bytes()) != expected:
                raise ConfigError(
                    f"{self.path}: was edited meanwhile; nothing was changed, try again"
                )
            os.replace(temporary, self.path)
            self.step("replaced")
            sync_folder(self.path.parent)
            self.step("synced")
        finally:
            temporary.unlink(missing_ok=True)

    @staticmethod
    def _write_new(path: Path, text: bytes) -> None:
        with path.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


_WHERE = ("kind", "base_url", "base_url_env", "api_key_env", "bound_key")
"""The keys of a host that decide which key goes to which address."""


_PLAIN_HEADERS = frozenset({"http-referer", "referer", "x-title", "user-agent"})
"""Headers that say who calls, and can be no secret."""


def _own_headers(host: dict[str, object]) -> str:
    headers = host.get("headers")
    names = headers if isinstance(headers, dict) else {}
    return ", ".join(f"`{name}`" for name in names if str(name).lower() not in _PLAIN_HEADERS)


def _hosts(data: object) -> dict[str, dict[str, object]]:
    found = data.get("hosts") if isinstance(data, dict) else None
    return {k: v for k, v in found.items() if isinstance(v, dict)} if found else {}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _unshared(data: object) -> object:
    """A copy in which every aliased list is separate, so that an edit does not appear twice."""
    if isinstance(data, dict):
        return {key: _unshared(value) for key, value in data.items()}
    return [_unshared(value) for value in data] if isinstance(data, list) else data

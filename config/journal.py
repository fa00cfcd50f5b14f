"""The journal of the application's configuration changes, from which they can be undone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from config.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Change:
    """One change to a file; `before` and `after` are SHA-256 hashes of its whole content."""

    id: str
    at: str  # ISO 8601, UTC
    kind: str  # append | remove | trial | refresh | set | probe
    subject: str  # the name of the provider or file
    note: str
    file: str  # name within the folder, which each replica may mount at another path
    before: str
    after: str
    backup: str  # the previous content, in the journal's folder


class Journal:
    """JSON lines beside the backups, one for each change or undo. The caller holds the lock.

    A change is recorded before it happens, so the last line may describe one that never did; its
    hashes show whether it happened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "journal.jsonl"

    def note(self, change: Change) -> None:
        self._append(asdict(change))

    def note_undone(self, change: Change) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._append({"undone": change.id, "at": at})

    def last(self, file: Path, sha256: str) -> Change:
        """The change that produced the file's current content.

        Raises ConfigError if there is none, or if the file was edited by hand since.
        """
        changes = self._changes(file.name)
        while changes:
            change = changes.pop()
            if change.after == sha256:
                return change
            if change.before != sha256:
                raise ConfigError(
                    f"{file}: was edited by hand after the application's last change"
                    f" ({change.kind} `{change.subject}`, {change.at}), and an undo would lose that"
                    f" edit; remove `{change.subject}` by hand, or copy"
                    f" {self.folder / change.backup} over the file"
                )
        raise ConfigError(f"{file}: nothing to undo; the application has not changed it")

    def latest(self, file: Path) -> str:
        """The id of the newest change to this file that was not undone; empty if there is none."""
        changes = self._changes(file.name)
        return changes[-1].id if changes else ""

    def backup(self, change: Change) -> bytes:
        try:
            return (self.folder / change.backup).read_bytes()
        except FileNotFoundError:
            raise ConfigError(
                f"{self.folder / change.backup}: the backup is missing, so {change.kind}"
                f" `{change.subject}` can only be undone by hand"
            ) from None

    def _changes(self, file: str) -> list[Change]:
        """The changes to this file that were not undone, oldest first."""
        standing: dict[str, Change] = {}
        for line in (
            self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else ()
        ):
            try:
                noted = json.loads(line)
            except ValueError:
                continue  # the process was killed while writing this line: nothing followed it
            if "undone" in noted:
                standing.pop(noted["undone"], None)
            elif noted["file"] == file:
                standing[noted["id"]] = Change(**noted)
        return list(standing.values())

    def _append(self, line: Mapping[str, object]) -> None:
        torn = self.path.exists() and self.path.read_bytes()[-1:] not in (b"", b"\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("\n" if torn else "") + json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.folder)


def sync_folder(folder: Path) -> None:
    """fsync the folder, so that a rename or a new file in it survives a power failure."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

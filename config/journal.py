"""What the application changed in its configuration, so that it can be taken back."""

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
    """One change of a file; `before` and `after` are sha256 of its whole content."""

    id: str
    at: str  # ISO 8601, UTC
    kind: str  # append | remove | trial | refresh
    subject: str  # the provider's or the file's name
    note: str
    file: str  # its name in the folder, which each replica may see at another path
    before: str
    after: str
    backup: str  # the file's content before, in the journal's folder


class Journal:
    """Lines of JSON beside the backups: one a change, one an undo. The caller holds the lock.

    A change is noted before it happens, so the last line may speak of one that never did; the
    hashes tell.
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
        """The change that made the file what it is now.

        Raises ConfigError when there is none, or when the file was edited by hand since.
        """
        changes = self._changes(file.name)
        while changes:
            change = changes.pop()
            if change.after == sha256:
                return change
            if change.before != sha256:
                raise ConfigError(
                    f"{file}: was edited by hand since the application's last change"
                    f" ({change.kind} `{change.subject}`, {change.at}), and an undo would lose that"
                    f" edit; take `{change.subject}` out by hand, or copy"
                    f" {self.folder / change.backup} over the file"
                )
        raise ConfigError(f"{file}: nothing to take back; the application made no change to it")

    def latest(self, file: Path) -> str:
        """The id of the newest change of this file that stands; empty without one."""
        changes = self._changes(file.name)
        return changes[-1].id if changes else ""

    def backup(self, change: Change) -> bytes:
        try:
            return (self.folder / change.backup).read_bytes()
        except FileNotFoundError:
            raise ConfigError(
                f"{self.folder / change.backup}: the backup is missing, so {change.kind}"
                f" `{change.subject}` can only be taken back by hand"
            ) from None

    def _changes(self, file: str) -> list[Change]:
        """The changes of this file that stand, oldest first."""
        standing: dict[str, Change] = {}
        for line in (
            self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else ()
        ):
            try:
                noted = json.loads(line)
            except ValueError:
                continue  # the process was killed while it wrote this line: nothing followed
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
    """Make a rename or a new file in the folder survive a power cut."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

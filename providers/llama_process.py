"""The child process that serves one GGUF file with llama.cpp's own server; see `llama_server`.

Reads one JSON object from its standard input (`path`, `alias`, `threads`), prints one JSON object
on its standard output (`base_url` and `key`, or `error`) and serves until its standard input ends,
which the kernel sees to when the parent dies, however it dies, and ends this process by a signal
then, whatever it is doing. Imports nothing of the project, so that it starts quickly and holds
nothing but the model.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import sys

SLOTS = 4
SLOT_TOKENS = 2048
HTTP_THREADS = 64
"""The default of six is used up by six streams, and then even `/models` has to wait."""
BATCH_TOKENS = 32
"""Prompt tokens processed in one batch. Only between two batches is another slot served and an
abandoned call noticed: with the default of 2,048 a prompt of 1,500 tokens blocked both for 12 s.
Costs 7% of the reading speed."""


def main() -> None:
    """Serve until standard input ends, then exit without waiting for llama.cpp's own threads."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent
    wanted = json.loads(sys.stdin.readline())
    _end_with_the_parent()
    key = secrets.token_urlsafe(24)
    try:
        server, base_url = _serve(wanted["path"], wanted["alias"], wanted["threads"], key)
    except ImportError as error:  # a system library that the runtime is linked against
        said = f"{error}; install it" + (" (Debian: libgomp1)" if "libgomp" in str(error) else "")
        print(json.dumps({"error": said}), flush=True)
        os._exit(1)
    except (RuntimeError, ValueError, OSError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        os._exit(1)
    try:
        print(json.dumps({"base_url": base_url, "key": key}), flush=True)
        sys.stdin.read()
        assert server is not None  # it is held until here
    finally:  # also when nobody reads any more: leaving in order would wait for those threads
        os._exit(0)


def _end_with_the_parent() -> None:
    """From now on the end of standard input is a signal that ends this process.

    Reading it alone is not enough: while llama.cpp loads weights, or hangs, Python does not run.
    The kernel's signal for the death of a parent (`PR_SET_PDEATHSIG`) would not do: it comes when
    the thread ends that started this process.
    """
    if sys.platform == "win32":
        return
    import fcntl

    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(sys.stdin, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(sys.stdin, fcntl.F_GETFL)
    fcntl.fcntl(sys.stdin, fcntl.F_SETFL, flags | os.O_ASYNC)
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)
    if poll.poll(0):  # it ended before
        os._exit(0)


def _serve(path: str, alias: str, threads: int, key: str) -> tuple[object, str]:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.model_alias = {alias}
    # A small model falls into loops. DRY damps the continuation of a repeated sequence and does not
    # affect facts, unlike a plain repeat penalty of 1.1.
    parameters.sampling.dry_multiplier = 0.8
    parameters.sampling.dry_allowed_length = 4
    parameters.sampling.dry_penalty_last_n = 512
    parameters.n_parallel = SLOTS
    parameters.n_ctx = SLOTS * SLOT_TOKENS
    parameters.sse_ping_interval = 1  # writing to a client that left is how that is noticed
    parameters.n_threads_http = HTTP_THREADS
    parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.ui = False
    parameters.verbosity = -1
    server = xllamacpp.Server(parameters)
    return server, f"{server.listening_address}/v1"


if __name__ == "__main__":
    main()

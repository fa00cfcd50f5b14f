from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from filelock import FileLock

from config.errors import StorageError
from vectorstore import knowledge as knowledge_module
from vectorstore.embeddings import Embedder, OnnxModel, model_folder
from vectorstore.knowledge import ALONE_S, RETRIEVE_S, Knowledge
from vectorstore.search import paths
from vectorstore.vectors import WAIT_S


async def test_the_passage_that_holds_the_answer_comes_first(
    knowledge: Knowledge, folder: Path
) -> None:
    await knowledge.ingest(folder, topics=False)
    found = await knowledge.retrieve("How high is the tower of Paris?", 2)
    assert found.mode == "hybrid"
    first = found.passages[0]
    assert (first.source, first.title) == ("tower.md", "The Eiffel Tower > Height")
    assert "330 metres" in first.text
    assert first.similarity is not None
    assert first.score > found.passages[1].score
    assert found.took_ms > 0
    assert knowledge.problem is None


async def test_a_question_that_the_base_cannot_answer_is_not_confident(
    knowledge: Knowledge, folder: Path
) -> None:
    await knowledge.ingest(folder, topics=False)
    assert (await knowledge.retrieve("How tall is the Eiffel Tower?")).confident
    assert not (await knowledge.retrieve("How do I file my taxes?")).confident


@pytest.mark.parametrize("question", ["", "  \n", "???", "the of and", "a" * 200_000, "\0\ud83d"])
async def test_no_question_breaks_retrieval(
    knowledge: Knowledge, folder: Path, question: str
) -> None:
    assert (await knowledge.retrieve(question)).mode == "empty"
    await knowledge.ingest(folder, topics=False)
    await knowledge.retrieve(question)


async def test_k_bounds_the_passages(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.ingest(folder, topics=False)
    for k, count in ((0, 0), (1, 1), (3, 3), (100, 4)):
        assert len((await knowledge.retrieve("bees and towers", k)).passages) == count


async def test_a_vector_that_the_caller_has_is_used(
    knowledge: Knowledge, folder: Path, embedder: Embedder
) -> None:
    await knowledge.ingest(folder, topics=False)
    about_bees = embedder.embed(["insects that make honey"])[0]
    found = await knowledge.retrieve("which?", 1, vector=about_bees)
    assert found.passages[0].source == "bees.md"
    assert found.passages[0].similarity == pytest.approx(
        float(about_bees @ embedder.embed([f"Bees\n{found.passages[0].text}"])[0]), abs=1e-4
    )


async def test_the_reranker_reads_question_and_passage_together(
    knowledge: Knowledge, folder: Path
) -> None:
    await knowledge.ingest(folder, topics=False)
    found = await knowledge.retrieve("How often does the tower get new paint?", 4, rerank=True)
    assert found.passages[0].title == "The Eiffel Tower > Paint"


async def test_the_same_text_from_two_documents_is_one_passage(
    knowledge: Knowledge, folder: Path
) -> None:
    (folder / "copy.md").write_text((folder / "bees.md").read_text())
    await knowledge.ingest(folder, topics=False)
    texts = [p.text for p in (await knowledge.retrieve("honey bee", 10)).passages]
    assert len(texts) == len(set(texts))


async def test_an_empty_base_answers_empty(knowledge: Knowledge, tmp_path: Path) -> None:
    found = await knowledge.retrieve("anything")
    assert (found.mode, found.passages, found.confident) == ("empty", (), False)
    assert await knowledge.documents() == []
    assert (knowledge.version, knowledge.problem) == (0, None)
    assert not (tmp_path / "data").exists()


async def test_without_a_model_words_alone_find_the_passage(tmp_path: Path, folder: Path) -> None:
    words = Knowledge.open(tmp_path / "data", None)
    await words.ingest(folder, topics=False)
    found = await words.retrieve("Who paints the Eiffel Tower?")
    assert found.mode == "bm25"
    assert found.passages[0].title == "The Eiffel Tower > Paint"
    assert found.passages[0].similarity is None
    assert found.confident
    assert words.problem is None
    words.close()


async def test_a_broken_chroma_degrades_retrieval_and_fails_ingest(
    tmp_path: Path, folder: Path, embedder: Embedder
) -> None:
    data = tmp_path / "data"
    knowledge = Knowledge.open(data, embedder)
    await knowledge.ingest(folder, topics=False)
    knowledge.close()
    for path in (data / "chroma").rglob("*"):
        if path.is_file():
            path.write_bytes(b"this is no database" * 100)
    broken = Knowledge.open(data, embedder)
    found = await broken.retrieve("How high is the Eiffel Tower?")
    assert found.mode == "bm25"
    assert found.passages[0].source == "tower.md"
    await broken.retrieve("How high is the Eiffel Tower?")
    assert broken.problem is not None
    assert "delete that folder" in broken.problem
    with pytest.raises(StorageError, match="delete that folder"):
        await broken.ingest(folder, topics=False)
    broken.close()


async def test_a_chroma_folder_that_was_deleted_is_made_again(
    tmp_path: Path, folder: Path, embedder: Embedder
) -> None:
    data = tmp_path / "data"
    knowledge = Knowledge.open(data, embedder)
    await knowledge.ingest(folder, topics=False)
    knowledge.close()
    for path in sorted((data / "chroma").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    again = Knowledge.open(data, embedder)
    assert (await again.ingest(folder, topics=False)).updated == 3
    assert (await again.retrieve("honey")).mode == "hybrid"
    again.close()


async def test_a_broken_catalogue_is_a_problem_and_not_a_crash(
    tmp_path: Path, folder: Path, embedder: Embedder
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    paths(data)[0].write_bytes(b"this is no database" * 500)
    knowledge = Knowledge.open(data, embedder)
    assert (await knowledge.retrieve("honey")).mode == "empty"
    assert knowledge.problem is not None
    assert "knowledge.db cannot be used" in knowledge.problem
    with pytest.raises(StorageError, match="delete the file"):
        await knowledge.ingest(folder, topics=False)
    knowledge.close()


async def test_retrieval_serves_what_is_in_while_an_ingest_runs(
    knowledge: Knowledge, folder: Path
) -> None:
    await knowledge.ingest(folder, topics=False)
    for number in range(60):
        (folder / f"more {number}.md").write_text(f"# Entry {number}\n\nIt is about {number}.\n")
    begun = asyncio.Event()
    running = asyncio.create_task(knowledge.ingest(folder, lambda *_: begun.set(), topics=False))
    await begun.wait()
    found = await knowledge.retrieve("How high is the Eiffel Tower?")
    assert not running.done()
    assert (found.mode, found.passages[0].source) == ("hybrid", "tower.md")
    await running
    assert (await knowledge.retrieve("entry 59", 1)).passages[0].source == "more 59.md"


CHILD = """
import asyncio, sys
from pathlib import Path
from vectorstore.embeddings import Embedder
from vectorstore.vectors import WAIT_S
from vectorstore.knowledge import ALONE_S, RETRIEVE_S, Knowledge

async def main():
    knowledge = Knowledge.open(Path(sys.argv[1]), Embedder.load())
    await knowledge.ingest(Path(sys.argv[2]), topics=False)
    knowledge.close()

asyncio.run(main())
"""


async def test_what_another_process_ingested_is_found(
    tmp_path: Path, knowledge: Knowledge, folder: Path
) -> None:
    await knowledge.ingest(folder, topics=False)
    version = knowledge.version
    assert (await knowledge.retrieve("Which planet has rings?")).mode == "hybrid"
    (folder / "saturn.md").write_text("# Saturn\n\nSaturn is encircled by bright bands of ice.\n")
    child = [sys.executable, "-c", CHILD, str(tmp_path / "data"), str(folder)]
    await asyncio.to_thread(subprocess.run, child, check=True)
    found = await knowledge.retrieve("Which planet has rings?", 1)
    assert found.passages[0].source == "saturn.md"
    assert found.passages[0].similarity is not None
    assert found.mode == "hybrid"
    assert knowledge.version > version


async def test_a_second_writer_is_turned_away_in_the_end(
    tmp_path: Path, knowledge: Knowledge, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge_module, "LOCK_WAIT_S", 0.05)
    await knowledge.ingest(folder, topics=False)
    with FileLock(paths(tmp_path / "data")[2]):
        with pytest.raises(StorageError, match="Another process is ingesting"):
            await knowledge.ingest(folder, topics=False)
        assert (await knowledge.retrieve("honey")).mode == "hybrid"


async def test_closing_stops_an_ingest(tmp_path: Path, folder: Path, embedder: Embedder) -> None:
    for number in range(300):
        (folder / f"more {number}.md").write_text(f"# Entry {number}\n\nIt is about {number}.\n")
    knowledge = Knowledge.open(tmp_path / "data", embedder)
    begun = asyncio.Event()
    running = asyncio.create_task(knowledge.ingest(folder, lambda *_: begun.set(), topics=False))
    await begun.wait()
    await asyncio.to_thread(knowledge.close)
    report = await running
    assert 0 < report.added < 303


async def test_many_questions_at_once_are_all_answered(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.ingest(folder, topics=False)
    found = await asyncio.gather(*(knowledge.retrieve(f"tower {n}") for n in range(40)))
    assert {f.mode for f in found} == {"hybrid"}


def test_vectors_have_unit_length_and_a_question_differs_from_a_passage(embedder: Embedder) -> None:
    plain = embedder.embed(["What is a bee?", "", "word " * 5000])
    asked = embedder.embed(["What is a bee?"], "query")
    assert (plain.shape, plain.dtype) == ((3, 384), np.float32)
    assert np.allclose(np.linalg.norm(plain, axis=1), 1, atol=1e-5)
    assert 0.5 < float(plain[0] @ asked[0]) < 0.999
    assert embedder.embed([]).shape == (0, 384)


def test_a_vector_does_not_depend_on_its_neighbours(embedder: Embedder) -> None:
    alone = embedder.embed(["bees"])[0]
    assert np.array_equal(embedder.embed(["a far longer text " * 30, "bees"])[1], alone)


async def until_by_vectors(knowledge: Knowledge) -> None:
    """A busy machine takes longer to connect than a question waits for it."""
    async with asyncio.timeout(60):
        while (
            await knowledge.retrieve("How high is the Eiffel Tower?")
        ).mode != "hybrid" or knowledge.problem is not None:
            await knowledge.look()
            await asyncio.sleep(0.05)


async def test_a_chroma_server_is_used_and_its_loss_is_survived(
    tmp_path: Path,
    folder: Path,
    embedder: Embedder,
    chroma_server: tuple[str, subprocess.Popen[bytes]],
) -> None:
    url, server = chroma_server
    knowledge = Knowledge.open(tmp_path / "data", embedder, url)
    await knowledge.ingest(folder, topics=False)
    await until_by_vectors(knowledge)
    assert not (tmp_path / "data" / "chroma").exists()
    server.kill()
    await asyncio.to_thread(server.wait)
    found = await knowledge.retrieve("How high is the Eiffel Tower?")
    assert (found.mode, found.passages[0].source) == ("bm25", "tower.md")
    assert knowledge.problem is not None
    assert url in knowledge.problem
    knowledge.close()


async def test_a_silent_chroma_server_is_waited_for_once_and_comes_back_by_itself(
    tmp_path: Path,
    folder: Path,
    embedder: Embedder,
    chroma_server: tuple[str, subprocess.Popen[bytes]],
) -> None:
    url, server = chroma_server
    knowledge = Knowledge.open(tmp_path / "data", embedder, url)
    await knowledge.ingest(folder, topics=False)
    await until_by_vectors(knowledge)
    server.send_signal(signal.SIGSTOP)
    try:
        took = []
        for _ in range(3):
            found = await knowledge.retrieve("How high is the Eiffel Tower?")
            took.append(found.took_ms)
            assert (found.mode, found.passages[0].source) == ("bm25", "tower.md")
        assert took[0] < 1000 * RETRIEVE_S
        assert max(took[1:]) < 1000 * WAIT_S, "nobody waits for it twice"
        assert f"{url} does not answer" in (knowledge.problem or "")
    finally:
        server.send_signal(signal.SIGCONT)
    await until_by_vectors(knowledge)
    knowledge.close()


async def test_a_silent_server_is_noticed_before_anybody_asks(
    tmp_path: Path,
    folder: Path,
    embedder: Embedder,
    chroma_server: tuple[str, subprocess.Popen[bytes]],
) -> None:
    url, server = chroma_server
    knowledge = Knowledge.open(tmp_path / "data", embedder, url)
    await knowledge.ingest(folder, topics=False)
    server.send_signal(signal.SIGSTOP)
    await knowledge.look()
    assert f"{url} does not answer" in (knowledge.problem or "")
    server.send_signal(signal.SIGCONT)
    knowledge.close()


async def test_a_removed_data_folder_is_named_and_one_in_its_place_is_read(
    folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    words = Knowledge.open(data, None)
    await words.ingest(folder, topics=False)
    data.rename(tmp_path / "away")
    await words.look()
    assert f"{data} was removed" in (words.problem or "")
    (folder / "bees.md").write_text("# Bees\n\nA bumble bee sleeps alone.\n")
    another = Knowledge.open(data, None)
    await another.ingest(folder, topics=False)
    another.close()
    await words.look()
    assert words.problem is None
    (first,) = (await words.retrieve("Does a bumble bee sleep alone?", 1)).passages
    assert "sleeps alone" in first.text
    words.close()


class Stalling:
    """The real model, on a machine that stands still until it is let go on."""

    def __init__(self, embedder: Embedder) -> None:
        self.stalled, self.asked = threading.Event(), threading.Event()
        self.questions: list[str] = []
        self._embedder = embedder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def embed(self, *given: Any) -> np.ndarray:
        if given[1:2] == ("query",):
            self.questions += given[0]
            self.asked.set()
            assert self.stalled.wait(30)
        return self._embedder.embed(*given)


async def test_who_asks_for_passages_alone_waits_longer_than_a_request(
    tmp_path: Path, folder: Path, embedder: Embedder
) -> None:
    """A stalled machine made the page say that there is no passage."""
    model = Stalling(embedder)
    knowledge = Knowledge.open(tmp_path / "data", cast(Embedder, model))
    await knowledge.ingest(folder, topics=False)
    await knowledge.warm()
    patient = asyncio.create_task(
        knowledge.retrieve("How high is the Eiffel Tower?", within_s=ALONE_S)
    )
    assert await asyncio.to_thread(model.asked.wait, 30)
    assert (await knowledge.retrieve("How high is the Eiffel Tower?")).mode == "late"
    model.stalled.set()
    assert (await patient).passages[0].source == "tower.md"
    knowledge.close()


async def test_a_question_whose_asker_has_gone_is_not_searched(
    tmp_path: Path, folder: Path, embedder: Embedder
) -> None:
    """A fallback that lost had its passages searched all the same, behind those still wanted."""
    model = Stalling(embedder)
    knowledge = Knowledge.open(tmp_path / "data", cast(Embedder, model))
    await knowledge.ingest(folder, topics=False)
    await knowledge.warm()
    asked = [
        asyncio.create_task(knowledge.retrieve(question, within_s=ALONE_S))
        for question in ("How high is it?", "Who has gone?", "What do bees bring?")
    ]
    assert await asyncio.to_thread(model.asked.wait, 30)
    asked[1].cancel()
    await asyncio.wait({asked[1]})
    model.stalled.set()
    assert (await asked[2]).passages[0].source == "bees.md"
    assert model.questions == ["How high is it?", "What do bees bring?"]
    knowledge.close()


def test_only_the_words_of_a_text_are_read_and_no_padding() -> None:
    for name in ("bge_small_en", "reranker_en"):
        assert len(OnnxModel(model_folder(name)).encode("a bee", "honey").ids) < 10

"""The knowledge base: what is in, what a question finds, and bringing it up to date."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import gradio as gr

from config.errors import RouterError
from config.models import Settings
from ui import wording
from ui.blocks import AT_ONCE, STREAMED, widget
from ui.chat_service import ChatService
from ui.guard import session_of
from ui.uploads import Files
from ui.wording import say, sentence
from vectorstore.folders import SUFFIXES
from vectorstore.knowledge import ALONE_S
from vectorstore.passages import Document, IngestReport

PASSAGES = 6
SHOWN = 500
"""Documents listed; the count names all of them."""


def knowledge_tab(service: ChatService, uploaded: Files, *, write: bool) -> None:
    with gr.Tab("Knowledge", id="knowledge"):
        box = gr.Textbox(
            label="Question",
            show_label=False,
            placeholder=say("knowledge.try_a_question"),
            submit_btn="Find passages",
            elem_id="knowledge-question",
            elem_classes="rt-prompt",
        )
        passages = widget("passages", None, elem_id="passages")
        if write:
            _ingest_parts(service, uploaded)
        documents = widget("documents", None, elem_id="documents", every_s=5)

    async def refresh() -> object:
        return await _documents(service)

    async def find(question: str) -> object:
        return await _passages(service, question)

    documents.refresh(refresh, None, documents, **AT_ONCE)
    box.submit(find, box, passages, trigger_mode="multiple", **AT_ONCE)


def _ingest_parts(service: ChatService, uploaded: Files) -> None:
    with gr.Row(elem_classes="rt-ingest"):
        upload = gr.UploadButton(
            "Add documents",
            file_count="multiple",
            file_types=sorted(SUFFIXES),
            elem_id="upload",
        )
        renew = gr.Button(say("knowledge.bring_up_to"), elem_id="renew")
    progress = widget("progress", None, elem_id="ingest-progress", latest=False)

    async def add(files: list[str] | None, request: gr.Request) -> AsyncIterator[dict[str, object]]:
        folder = uploads(service.router.settings)
        await asyncio.to_thread(keep, [Path(file) for file in files or []], folder)
        uploaded.release(session_of(request.headers) or "", map(str, files or []))
        async for frame in ingest(service, [folder], topics=False):
            yield frame

    async def bring_up_to_date() -> AsyncIterator[dict[str, object]]:
        settings = service.router.settings
        folders = [settings.config_dir / "knowledge", uploads(settings)]
        async for frame in ingest(service, [f for f in folders if f.is_dir()], topics=True):
            yield frame

    upload.upload(add, upload, progress, **STREAMED)
    renew.click(bring_up_to_date, None, progress, **STREAMED)


def uploads(settings: Settings) -> Path:
    """Where documents that were uploaded are kept."""
    return settings.data_dir / "documents"


def keep(files: Sequence[Path], folder: Path) -> None:
    """Copy uploads into the folder under their own last names; the same name replaces."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name.lstrip("."))


async def ingest(
    service: ChatService, folders: Sequence[Path], *, topics: bool
) -> AsyncIterator[dict[str, object]]:
    """Frames of the progress, the last with what was done; leaving them stops the ingest."""
    steps: asyncio.Queue[tuple[int, int, str] | None] = asyncio.Queue()
    work = asyncio.create_task(
        service.router.services.knowledge.ingest(
            folders, lambda *step: steps.put_nowait(step), topics=topics
        )
    )
    work.add_done_callback(lambda _: steps.put_nowait(None))
    try:
        yield {"done": 0, "total": 0, "name": "", "over": False}
        while (step := await steps.get()) is not None:
            while not steps.empty() and (later := steps.get_nowait()) is not None:
                step = later
            done, total, name = step
            yield {"done": done, "total": total, "name": name, "over": False}
            if work.done():
                break
            await asyncio.sleep(0.04)
        yield report(await work)
    except RouterError as error:
        yield {"over": True, "problem": sentence(str(error))}
    finally:
        work.cancel()


def report(done: IngestReport) -> dict[str, object]:
    """What an ingest did, in one sentence, and each file that was left out with the reason."""
    counts = ("added", "updated", "unchanged", "removed")
    said = ", ".join(f"{getattr(done, name)} {name}" for name in counts)
    slow = "" if done.vectors else say("knowledge.model_files_are")
    return {
        "over": True,
        "said": say(
            "knowledge.passages_in",
            said=said,
            chunks=done.chunks,
            seconds=wording.seconds(done.seconds * 1000),
            slow=slow,
        ),
        "skipped": [{"file": Path(file).name, "why": why} for file, why in done.skipped],
    }


async def _documents(service: ChatService) -> object:
    knowledge = service.router.services.knowledge
    try:
        found = await knowledge.documents()
    except RouterError as error:
        return {"rows": [], "count": 0, "problem": sentence(str(error))}
    return {
        "rows": [_document(d) for d in found[:SHOWN]],
        "count": len(found),
        "chunks": sum(d.chunks for d in found),
        "problem": knowledge.problem,
    }


def _document(document: Document) -> dict[str, object]:
    own = document.folder == "python"
    return {
        "title": document.title,
        "source": document.source,
        "folder": say("knowledge.python_s_own") if own else Path(document.folder).name,
        "chunks": document.chunks,
        "size": f"{document.bytes / 1000:.1f} kB",
    }


async def _passages(service: ChatService, question: str) -> object:
    if not (question or "").strip():
        return None
    found = await service.router.services.knowledge.retrieve(question, PASSAGES, within_s=ALONE_S)
    return {
        "confident": found.confident,
        "mode": found.mode,
        "took": wording.seconds(found.took_ms),
        "rows": [
            {
                "title": p.title,
                "source": p.source,
                "score": p.score,
                "text": p.text,
                "similarity": None if p.similarity is None else f"{p.similarity:.2f}",
            }
            for p in found.passages
        ],
    }

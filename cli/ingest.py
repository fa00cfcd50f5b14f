"""`--ingest`: bring the knowledge base up to date with a folder."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from config.errors import StorageError
from config.loader import load
from config.models import Settings
from runtime.services import knowledge_folder
from telemetry.console import Terminal
from vectorstore.embeddings import Embedder
from vectorstore.knowledge import Knowledge
from vectorstore.passages import IngestReport


def run(args: argparse.Namespace) -> int:
    settings = load(args.config, args.data)
    folder = Path(args.ingest) if args.ingest else knowledge_folder(settings)
    report = asyncio.run(_ingest(settings, folder, topics=not args.ingest))
    print(
        f"{report.added} added, {report.updated} updated, {report.unchanged} unchanged, "
        f"{report.removed} removed, {len(report.skipped)} skipped: {report.chunks} chunks "
        f"written in {report.seconds:.1f} s"
    )
    for path, reason in report.skipped:
        print(f"skipped {path}: {reason}")
    return 0


async def _ingest(settings: Settings, folder: Path, *, topics: bool) -> IngestReport:
    """Ingest the folder; Python's own topics belong to the shipped knowledge."""
    try:
        embedder: Embedder | None = Embedder.load(threads=2)
    except StorageError as error:
        print(f"warning: {error} Until then documents are found by BM25 alone.", file=sys.stderr)
        embedder = None
    knowledge = Knowledge.open(settings.data_dir, embedder, settings.environment.chroma_url)
    bar = Progress(
        TextColumn("Knowledge"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}"),
        console=Terminal(stderr=True),
        transient=True,
    )
    try:
        with bar:
            task = bar.add_task("", total=None, name="")

            def progress(done: int, total: int, name: str) -> None:
                bar.update(task, completed=done, total=total, name=name[-40:])

            return await knowledge.ingest(folder, progress, topics=topics)
    finally:
        knowledge.close()

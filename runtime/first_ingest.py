"""The knowledge base that belongs to a configuration, brought up to date behind the requests."""

from __future__ import annotations

from pathlib import Path

import structlog

from config.errors import StorageError
from config.models import Settings
from race.services import Services

logger = structlog.get_logger()

SHIPPED = Path(__file__).parent.parent / "config" / "knowledge"


def knowledge_folder(settings: Settings) -> Path:
    """The folder of documents that belongs to a configuration; a demo shares the shipped one."""
    own = settings.config_dir / "knowledge"
    return own if own.is_dir() else SHIPPED


async def ingest(services: Services) -> None:
    """Bring the knowledge base up to date, never in the way of a prompt; a failure is logged."""
    try:
        report = await services.knowledge.ingest(knowledge_folder(services.settings))
    except StorageError as error:
        logger.error("ingest_failed", error=str(error))
        return
    logger.info("ingested", added=report.added, updated=report.updated, removed=report.removed)
    for path, reason in report.skipped:
        logger.warning("document_skipped", path=path, reason=reason)

"""The real embedding model, loaded once, and small knowledge bases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vectorstore.embeddings import Embedder
from vectorstore.knowledge import Knowledge

GARDEN = {
    "tower.md": "# The Eiffel Tower\n\n## Height\n\nIt is 330 metres tall and stands in Paris.\n\n"
    "## Paint\n\nIt is painted every seven years, with sixty tonnes of paint.\n",
    "bees.md": "# Bees\n\nA honey bee visits flowers and brings nectar to the hive.\n",
    "tides.txt": "The Moon pulls at the sea, and so there are tides twice a day.\n",
}


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return Embedder.load()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "documents"
    place.mkdir()
    for name, text in GARDEN.items():
        (place / name).write_text(text)
    return place


@pytest.fixture
async def knowledge(tmp_path: Path, embedder: Embedder) -> AsyncIterator[Knowledge]:
    """A knowledge base with nothing in it."""
    base = Knowledge.open(tmp_path / "data", embedder)
    yield base
    base.close()

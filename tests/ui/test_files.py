"""Nothing that the page serves reads a file which was not uploaded through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ui.conftest import Site

SECRET = "the colour of the vault is mauve"


def file_data(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


@pytest.fixture
def http(site: Site):
    with httpx.Client(base_url=site.url, timeout=30) as client:
        yield client


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "outside.md"
    file.write_text(SECRET)
    return file


def test_a_foreign_path_as_an_argument_is_refused_and_not_copied(http: httpx.Client, secret: Path):
    reply = http.post("/gradio_api/run/ask", json={"data": ["hi", None, file_data(str(secret))]})
    assert reply.status_code >= 400
    assert "outside.md" not in reply.text
    assert http.get(f"/gradio_api/file={secret}").status_code == 403


def test_a_foreign_path_as_an_upload_is_not_ingested(http: httpx.Client, secret: Path):
    joined = http.post("/gradio_api/call/add", json={"data": [[file_data(str(secret))]]})
    events = http.get(f"/gradio_api/call/add/{joined.json()['event_id']}").text
    assert "event: error" in events
    assert "outside.md" not in events
    documents = http.post("/gradio_api/run/documents", json={"data": []}).json()["data"][0]
    assert "outside.md" not in str(documents)

"""The notebooks run from their first cell to their last."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import SettingsFor
from tests.upstream import Behaviour, Upstream

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


@pytest.mark.model
def test_tour_runs_against_the_embedded_llama(tmp_path: Path) -> None:
    texts = run(NOTEBOOKS / "tour.ipynb", f"DATA = Path({str(tmp_path / 'data')!r})")
    assert "classify" in texts
    assert "primary llama-" in texts


@pytest.mark.model
def test_bring_your_key_measures_the_embedded_llama_and_a_real_api(tmp_path: Path) -> None:
    with Upstream.in_thread(key="a-key") as upstream:
        upstream.behave("llama-test", Behaviour(text="Answered by the real API."))
        keys = {
            "LLAMA_BASE_URL": upstream.base_url,
            "LLAMA_API_KEY": "a-key",
            "LLAMA_MODEL": "llama-test",
        }
        config = shutil.copytree(NOTEBOOKS.parent / "config", tmp_path / "config")
        shipped = (config / "providers.yaml").read_text()
        (config / "providers.yaml").write_text(shipped.replace("ttft_s: 4.0", "ttft_s: 60.0"))
        folders = f"CONFIG, DATA = Path({str(config)!r}), Path({str(tmp_path / 'data')!r})"
        texts = run(NOTEBOOKS / "bring_your_key.ipynb", f"{folders}\nKEYS = {keys!r}")
    assert "The embedded LLaMA" in texts
    assert "llama-api (primary)" in texts, texts
    assert "Answered by the real API." in texts
    assert "a-key" not in texts


def test_build_on_it_runs_over_a_model_that_calls_tools(settings_for: SettingsFor) -> None:
    with Upstream.in_thread() as capable:
        for model in ("first", "second", "cheap"):
            capable.behave(model, Behaviour(text="It is Lisbon.", capable=True))
        settings = settings_for(capable)
        folders = (
            f"CONFIG, DATA = Path({str(settings.config_dir)!r}), Path({str(settings.data_dir)!r})"
        )
        texts = run(NOTEBOOKS / "build_on_it.ipynb", folders)
    assert "4 messages in the thread" in texts
    assert "answer.classify" in texts
    assert "answered" in texts
    assert "22 degrees and sunny in Lisbon" in texts
    assert "no answer" not in texts


def run(path: Path, parameters: str) -> str:
    """Execute a notebook with its second cell's names overridden; the text that it printed."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(2, nbformat.v4.new_code_cell(parameters))
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)

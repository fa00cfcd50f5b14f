"""`make demo-search`: the whole chain with real weights, from the hub's list to the roll-back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHAPTERS = ("found", "tried", "appended", "routed to", "disappoints", "audit", "rolled back")


@pytest.mark.model
def test_a_model_is_found_tried_appended_routed_to_and_rolled_back() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.demo_search"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    places = [done.stdout.index(f" s  {chapter}") for chapter in CHAPTERS]
    assert places == sorted(places)
    assert "appended as aurora-llama-135m" in done.stdout
    assert "opened while it was on trial" in done.stdout

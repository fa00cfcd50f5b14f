"""A conversation that a browser kept, in the server's hands."""

import json

import pytest

from config.errors import UsageError
from telemetry.log import InteractionLog
from ui.display import DisplayConfig
from ui.kept import restored


def turn(**changes: object) -> str:
    kept = {
        "request_id": "gone",
        "prompt": "Why?",
        "category": None,
        "provider": None,
        "phase": "done",
        "text": "Because.",
        "answered_by": "swift",
    }
    return json.dumps({**kept, **changes})


@pytest.fixture
async def log(tmp_path):
    """One that has nothing."""
    opened = InteractionLog.open(None, tmp_path)
    yield opened
    await opened.close()


async def test_what_the_log_has_not_is_shown_as_it_was_kept(log):
    kept = [turn(), turn(phase="running", text=""), turn(phase="stopped", text="Half")]
    found = await restored(log, DisplayConfig(), kept)
    assert [view.phase for view in found.turns] == ["done", "failed", "stopped"]
    assert found.history()[:2] == [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because."},
    ]


@pytest.mark.parametrize("kept", ["{}", "no JSON", turn(phase="odd"), turn(text=None)])
async def test_what_is_no_turn_is_refused(log, kept: str):
    with pytest.raises(UsageError, match="cannot be read"):
        await restored(log, DisplayConfig(), [kept])

"""The configuration in force, each value with where it came from; keys are never shown."""

from __future__ import annotations

import gradio as gr

from config.models import Settings
from config.provenance import provenance
from ui.blocks import AT_ONCE, widget
from ui.boards.changes import changes_part
from ui.chat_service import ChatService


def settings_tab(service: ChatService, *, write: bool) -> None:
    def refresh() -> object:
        return board(service.router.settings)

    with gr.Tab("Settings", id="settings"):
        if write:
            changes_part(service)
        shown = widget("settings", None, elem_id="settings")
        shown.refresh(refresh, None, shown, **AT_ONCE)


def board(settings: Settings) -> dict[str, object]:
    return {
        "folder": str(settings.config_dir),
        "rows": [
            {"key": row.key, "value": row.value, "source": row.source, "variable": row.variable}
            for row in provenance(settings)
        ],
    }

"""Gradio's Blocks as the page uses them: its files have owners, its failures go to our own log."""

from __future__ import annotations

from typing import Any

import gradio as gr
import structlog
from gradio_client.utils import is_file_obj_with_meta, traverse

from config.errors import RouterError
from ui.guard import FAILED, session_of
from ui.uploads import Files

logger = structlog.get_logger()

NOT_OFFERED = "that is no longer one of the choices; load the page again"


class Page(gr.Blocks):
    """Blocks of which each returned file is readable in the session that asked for it only.

    A failure is one sentence on the page; Gradio itself would print a traceback with the raw input.
    """

    def __init__(self, files: Files, **how: Any) -> None:
        super().__init__(**how)
        self.files = files
        self.has_launched = True  # Gradio checks paths only then, and mounting does not set it

    async def preprocess_data(self, *args: Any, **how: Any) -> list[Any]:
        """The inputs as handlers have them. Gradio's sentence about a choice would repeat it."""
        try:
            found: list[Any] = await super().preprocess_data(*args, **how)
        except gr.Error as error:
            if not str(error.message).startswith("Value: "):
                raise
            raise gr.Error(NOT_OFFERED, print_exception=False) from error
        return found

    async def process_api(self, *args: Any, **how: Any) -> dict[str, Any]:
        try:
            output: dict[str, Any] = await super().process_api(*args, **how)
        except gr.Error as error:
            error.print_exception = False
            raise
        except RouterError as error:
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:
            logger.exception("page_event_failed")
            raise gr.Error(FAILED, print_exception=False) from error
        request = how.get("request")
        session = session_of(request.headers) if isinstance(request, gr.Request) else None
        if session is not None:
            traverse(
                output["data"],
                lambda file: self.files.made(session, file["path"]),
                is_file_obj_with_meta,
            )
        return output

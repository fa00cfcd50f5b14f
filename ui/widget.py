"""A part of the page that our own script draws from plain values."""

from __future__ import annotations

from typing import Any


def widget(view: str, value: Any = None, *, elem_id: str, every_s: float = 0) -> Any:
    """A `gr.HTML` whose template is static: values reach the DOM as text, through `core.js`.

    `view` names the drawing function in `ui/assets`. It may trigger `select` with the data that
    the listener finds in its `gr.EventData`. It triggers `refresh` whenever it comes into sight
    and, with `every_s`, as often while it stays there; nothing happens in a tab that is not seen.
    """
    import gradio as gr

    arguments = f"element, props, trigger, watch, 'refresh', {every_s * 1000:.0f}"
    return gr.HTML(
        value=value,
        html_template='<div class="rt-view"></div>',
        js_on_load=f"RouterPage.mount('{view}', {arguments})",
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=[f"rt-{view}"],
    )

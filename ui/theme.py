"""How the page looks and what it may load: nothing but itself."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from ui.wording import words

ASSETS = Path(__file__).parent / "assets"
STYLES = ("base", "picture", "shell", "boards")
SCRIPTS = (
    "core",
    "asking",
    "difference",
    "graph",
    "waterfall",
    "inspector",
    "passages",
    "said",
    "picture",
    "shell",
    "attached",
    "prompt",
    "chats",
    "address",
    "overview",
    "compare",
    "priorities",
    "whatif",
    "log",
    "probe",
    "providers",
    "knowledge",
    "route",
    "models",
    "news",
    "settings",
    "changes",
    "keys",
    "add",
)

CSP = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # gradio compiles its components
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",  # a model's answer cannot load a remote picture
        "font-src 'self' data:",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "object-src 'none'",
        "frame-src 'none'",
        "form-action 'self'",
        "base-uri 'self'",
    )
)


def policy(*, framed: bool) -> str:
    """The Content-Security-Policy; only a Space's page may be shown inside another page."""
    return CSP if framed else f"{CSP}; frame-ancestors 'none'"


@cache
def css() -> str:
    return "\n".join((ASSETS / f"{name}.css").read_text() for name in STYLES)


@cache
def head() -> str:
    """The page's own styles and scripts; nothing is fetched for them.

    The styles stand here because gradio drops container queries from its `css` parameter.
    """
    code = _lean("\n".join((ASSETS / f"{name}.js").read_text() for name in SCRIPTS))
    icon = (ASSETS / "icon.svg.txt").read_text().strip()
    style = _lean(re.sub(r"/\*.*?\*/", "", css(), flags=re.DOTALL))
    script = f"window.RouterWords={_words_in(code)};\n{code}"
    return f'<link rel="icon" href="{icon}"><style>{style}</style><script>{script}</script>'


def _lean(code: str) -> str:
    """Without indentation, comments on lines of their own and empty lines: much of a first load."""
    lines = (line.strip() for line in code.split("\n"))
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _words_in(code: str) -> str:
    """The sentences that the scripts say, as JSON that may stand in a page."""
    said = {
        board: {
            name: text
            for name, text in some.items()
            if f'"{board}.{name}"' in code or f"`{board}.${{" in code
        }
        for board, some in words().items()
    }
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return text.replace("</", "<\\/")


def theme() -> object:
    """Gradio's own components in the colours of `base.css`, in the fonts of the reader's system:
    those that gradio brings along would be a quarter of the first load."""
    import gradio as gr

    both = {
        "body_background_fill": "var(--rt-bg)",
        "body_text_color": "var(--rt-text)",
        "body_text_color_subdued": "var(--rt-muted)",
        "background_fill_primary": "var(--rt-card)",
        "background_fill_secondary": "var(--rt-sunk)",
        "border_color_primary": "var(--rt-line)",
        "border_color_accent": "var(--rt-accent)",
        "color_accent_soft": "var(--rt-accent-soft)",
        "block_background_fill": "var(--rt-card)",
        "block_border_color": "var(--rt-line)",
        "block_label_text_color": "var(--rt-muted)",
        "block_label_background_fill": "transparent",
        "block_title_text_color": "var(--rt-muted)",
        "block_info_text_color": "var(--rt-muted)",
        "input_background_fill": "var(--rt-card)",
        "input_border_color": "var(--rt-line)",
        "input_border_color_focus": "var(--rt-accent)",
        "input_placeholder_color": "var(--rt-muted)",
        "button_primary_background_fill": "var(--rt-button)",
        "button_primary_background_fill_hover": "var(--rt-button-hover)",
        "button_primary_text_color": "#ffffff",
        "button_secondary_background_fill": "var(--rt-card)",
        "button_secondary_background_fill_hover": "var(--rt-sunk)",
        "button_secondary_border_color": "var(--rt-line)",
        "button_secondary_text_color": "var(--rt-text)",
        "link_text_color": "var(--rt-accent)",
        "link_text_color_hover": "var(--rt-accent)",
        "link_text_color_visited": "var(--rt-accent)",
        "panel_background_fill": "var(--rt-card)",
        "code_background_fill": "var(--rt-sunk)",
        "block_shadow": "none",
        "block_border_width": "1px",
        "input_border_width": "1px",
        "button_secondary_border_color_hover": "var(--rt-line-strong)",
    }
    one = {
        "color_accent": "var(--rt-accent)",
        "block_radius": "var(--rt-radius)",
        "container_radius": "var(--rt-radius)",
        "input_radius": "8px",
        "button_large_radius": "8px",
        "button_medium_radius": "8px",
        "button_small_radius": "8px",
        "button_large_text_weight": "600",
        "layout_gap": "14px",
        "block_title_text_size": "12.5px",
        "chatbot_text_size": "15px",
        "body_text_size": "14px",
    }
    dark = {f"{name}_dark": value for name, value in both.items()}
    base = gr.themes.Base(
        font=["IBM Plex Sans", "system-ui", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"],
        font_mono=[
            "IBM Plex Mono",
            "ui-monospace",
            "SF Mono",
            "Consolas",
            "Noto Sans Mono",
            "monospace",
        ],
    )
    return base.set(**both, **dark, **one)
